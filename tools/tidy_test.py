"""tools/tidy finds each kind of fault that it claims to find, and none in a clean tree."""

import pathlib
import subprocess
import sys
import tempfile
import unittest

TIDY = pathlib.Path(__file__).resolve().parent / "tidy"


def tidy(files):
    with tempfile.TemporaryDirectory() as root:
        for name, text in files.items():
            path = pathlib.Path(root) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        done = subprocess.run([sys.executable, TIDY, root], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout


class TidyTest(unittest.TestCase):
    def expect(self, name, text, message):
        code, out = tidy({name: text})
        self.assertEqual(code, 1, out)
        self.assertIn(message, out)
        self.assertIn(name + ":", out)

    def test_clean_tree(self):
        code, out = tidy({"core/a.h": "int A();\n", "core/a.cc": '#include "core/a.h"\nint A() { return 1; }\n',
                          "server/rpc/b.cc": '#include <grpcpp/grpcpp.h>\n#include "wire/convert.h"\n'})
        self.assertEqual((code, out), (0, ""))

    def test_layer_breach(self):
        self.expect("core/a.cc", '#include "server/store/event_log.h"\n', "must not include")
        self.expect("server/coordinator/a.cc", '#include "wire/convert.h"\n', "must not include")
        self.expect("server/feed/a.cc", '#include "server/rpc/x.h"\n', "must not include")

    def test_torch_and_grpc_stay_apart(self):
        self.expect("worker/trainer/a.cc", "#include <grpcpp/grpcpp.h>\n", "is not for")
        self.expect("worker/agent/a.cc", "#include <ATen/ATen.h>\n", "is not for")
        self.expect("core/a.cc", "#include <torch/torch.h>\n", "must not include")

    def test_single_file_permission(self):
        code, _ = tidy({"client/cli/data.cc": '#include "worker/text/tokenizer.h"\n'})
        self.assertEqual(code, 0)
        self.expect("client/cli/main.cc", '#include "worker/text/tokenizer.h"\n', "must not include")

    def test_sizes(self):
        self.expect("core/a.cc", "int x;\n" * 601, "601 lines")
        self.expect("core/a.cc", "void F() {\n" + "  G();\n" * 70 + "}\n", "function of 72 lines")
        code, _ = tidy({"core/a.cc": "void F() {\n" + "  G();\n" * 68 + "}\n"})
        self.assertEqual(code, 0)

    def test_bans(self):
        self.expect("core/a.cc", "int x = rand();\n", "seeded")
        self.expect("server/a.cc", 'auto x = getenv("A");\n', "environment")
        self.expect("core/a.cc", "auto t = absl::Now();\n", "clock")
        self.expect("core/a.cc", "// TODO: later\n", "marker")
        self.expect("core/a.cc", "// \u00e9\n", "ASCII")
        self.expect("server/a.cc", "std::cout << 1;\n", "standard output")

    def test_threads_exits_and_clocks_have_their_homes(self):
        thread, leave = "std::thread t([] {});\n", "  _exit(1);\n"
        now = "auto t = std::chrono::steady_clock::now();\n"
        self.expect("server/rpc/a.cc", thread, "threads start in")
        self.expect("core/a.cc", "std::jthread t;\n", "threads start in")
        self.expect("worker/agent/a.cc", leave, "exit code")
        self.expect("core/a.cc", "  std::exit(1);\n", "exit code")
        self.expect("server/coordinator/a.cc", now, "clock")
        self.expect("worker/agent/a.cc", "auto t = std::chrono::system_clock::now();\n", "clock")
        code, out = tidy({"server/server.cc": thread, "worker/agent/main.cc": thread, "client/cli/watch.cc": thread,
                          "worker/agent/child.cc": leave, "worker/trainer/a.cc": now,
                          "client/a.cc": "auto n = std::thread::hardware_concurrency();\nAtExit(1);\napp.exit(e);\n"})
        self.assertEqual((code, out), (0, ""))

    def test_unnamed_test(self):
        self.expect("core/a_test.cc", "int x;\n", "no CMakeLists.txt names")
        code, _ = tidy({"core/a_test.cc": "int x;\n", "core/CMakeLists.txt": "jenner_test(a SOURCES a_test.cc)\n"})
        self.assertEqual(code, 0)


if __name__ == "__main__":
    unittest.main()

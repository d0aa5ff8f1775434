// What ChatTemplate refuses, its limits and its edges. That it renders as transformers does is
// text_golden_test.cc's.
#include "worker/text/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "worker/text/test_folder.h"

namespace jenner::text {
namespace {

using testing::HasSubstr;

const char kConfig[] = "tokenizer_config.json";

const std::vector<core::Message> kTwoTurns = {{"user", "Hi"}, {"assistant", "Yo"}};

std::string Repeated(const std::string& text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

absl::StatusOr<ChatTemplate> LoadOf(const Files& files) {
  TestFolder folder(files);
  return ChatTemplate::Load(folder.path());
}

absl::StatusOr<std::string> RenderOf(const std::string& source,
                                     const std::vector<core::Message>& messages = kTwoTurns) {
  const auto parsed = ChatTemplate::Parse(source, {{"bos_token", "<s>"}});
  if (!parsed.ok()) return parsed.status();
  return parsed->Render(messages, false);
}

void ExpectFault(const absl::Status& status, absl::StatusCode code, const std::string& message) {
  EXPECT_EQ(status.code(), code) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(message));
}

void ExpectInvalid(const absl::Status& status, const std::string& message) {
  ExpectFault(status, absl::StatusCode::kInvalidArgument, message);
}

TEST(ChatTemplateLoadTest, NoTemplateIsNotFoundAndNamesTheFile) {
  ExpectFault(LoadOf(Files()).status(), absl::StatusCode::kNotFound, "/tokenizer_config.json: ");
  for (const char* config :
       {"{}", R"({"chat_template": null})", R"({"chat_template": 3})", R"({"chat_template": []})",
        R"({"chat_template": [{"name": "tool_use", "template": "x"}]})",
        R"({"chat_template": [{"name": "default"}, "default", null]})"}) {
    ExpectFault(LoadOf(Files{{kConfig, config}}).status(), absl::StatusCode::kNotFound,
                "/tokenizer_config.json: no chat_template");
  }
}

TEST(ChatTemplateLoadTest, BrokenConfigIsDataLossEvenBesideATemplate) {
  for (const char* config : {"", "{", "[]", "\"x\"", "{\"chat_template\": \"\xff\"}"}) {
    ExpectFault(LoadOf(Files{{kConfig, config}, {"chat_template.jinja", "x"}}).status(),
                absl::StatusCode::kDataLoss, "/tokenizer_config.json: not a JSON object");
  }
}

TEST(ChatTemplateLoadTest, TheFileOfItsOwnGoesFirstAndOfAListTheDefault) {
  const Files both = {{kConfig, R"({"chat_template": "config"})"}, {"chat_template.jinja", "file"}};
  EXPECT_EQ(*LoadOf(both)->Render(kTwoTurns, false), "file");
  EXPECT_EQ(LoadOf(both)->source(), "file");
  const Files list = {{kConfig, R"({"chat_template": [{"name": "tool_use", "template": "tools"},
                                                      {"name": "default", "template": "plain"}]})"}};
  EXPECT_EQ(*LoadOf(list)->Render(kTwoTurns, false), "plain");
}

TEST(ChatTemplateLoadTest, FaultOfTheTemplateNamesFileAndLine) {
  ExpectInvalid(LoadOf(Files{{kConfig, "{}"}, {"chat_template.jinja", "a\nb\n{% if %}"}}).status(),
                "/chat_template.jinja: syntax error");
  const absl::Status in_config =
      LoadOf(Files{{kConfig, R"({"chat_template": "a\nb\n{% if %}"})"}}).status();
  ExpectInvalid(in_config, "/tokenizer_config.json: syntax error");
  EXPECT_THAT(std::string(in_config.message()), HasSubstr("line 3 of the chat template"));
  ExpectInvalid(LoadOf(Files{{kConfig, "{}"}, {"chat_template.jinja", "a\xff"}}).status(),
                "/chat_template.jinja: chat template: invalid UTF-8 at byte 1");
}

TEST(ChatTemplateLoadTest, BosIsWhatTheConfigSays) {
  const std::string source = R"("chat_template": "[{{ bos_token }}]")";
  const auto render = [&](const std::string& bos) {
    return *LoadOf(Files{{kConfig, "{" + source + bos + "}"}})->Render(kTwoTurns, false);
  };
  EXPECT_EQ(render(R"(, "bos_token": "<s>")"), "[<s>]");
  EXPECT_EQ(render(R"(, "bos_token": {"content": "<b>", "lstrip": false})"), "[<b>]");
  EXPECT_EQ(render(R"(, "bos_token": null)"), "[]");
  EXPECT_EQ(render(""), "[]");
}

TEST(ChatTemplateParseTest, SyntaxErrorsAreRefused) {
  for (const char* source :
       {"{% if %}", "{% for m in messages %}", "{{ messages", "{% endfor %}", "{%}", "{% %}", "{%",
        "{{", "{#", "{{ 1 + }}", "{{ 'open }}", "{% nonsense %}", "{% generation %}",
        "{% endgeneration %}", "{% macro f( %}{% endmacro %}",
        "{{ 99999999999999999999999999999999999999999999 }}"}) {
    ExpectFault(ChatTemplate::Parse(source, {}).status(), absl::StatusCode::kInvalidArgument, "");
  }
}

TEST(ChatTemplateParseTest, ChainsAndNestingOfAnyLengthDoNotOverflowTheStack) {
  for (const std::string& source :
       {"{{ x" + Repeated("|e", 130'000) + " }}", "{{ x" + Repeated(".a", 130'000) + " }}",
        "{{ 1" + Repeated("+1", 130'000) + " }}", "{{ x" + Repeated("()", 130'000) + " }}",
        "{{ " + Repeated("-", 260'000) + "1 }}", "{{ " + Repeated("not ", 65'000) + "1 }}",
        "{{ " + Repeated("[", 260'000) + " }}", "{{ 1" + Repeated(" if 1 else 1", 20'000) + " }}",
        "{% if 1 %}" + Repeated("{% elif 1 %}", 20'000) + "{% endif %}",
        Repeated("{% if 1 %}", 25'000)}) {
    const absl::Status status = RenderOf(source).status();
    if (!status.ok()) ExpectInvalid(status, "");
  }
}

TEST(ChatTemplateParseTest, SourceHasALimit) {
  const std::string most(256 * 1024, 'x');
  EXPECT_TRUE(ChatTemplate::Parse(most, {}).ok());
  ExpectInvalid(ChatTemplate::Parse(most + "x", {}).status(), "262145 bytes, more than 262144");
}

TEST(ChatTemplateParseTest, VariableThatIsNotUtf8IsNamed) {
  ExpectInvalid(ChatTemplate::Parse("x", {{"bos_token", "<\xff>"}}).status(),
                "bos_token: invalid UTF-8 at byte 1");
}

TEST(ChatTemplateRenderTest, RaisedExceptionIsInvalidArgumentWithItsMessageAndLine) {
  // As Mistral's: roles must take turns.
  const std::string source =
      "{% for m in messages %}\n"
      "{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
      "{{ raise_exception('Roles must alternate, found ' ~ m.role) }}{% endif %}\n"
      "{{ m.content }}{% endfor %}";
  EXPECT_TRUE(RenderOf(source).ok());
  const absl::Status status = RenderOf(source, {{"user", "a"}, {"user", "b"}}).status();
  ExpectInvalid(status, "chat template: invalid operation: Roles must alternate, found user");
  EXPECT_THAT(std::string(status.message()), HasSubstr("line 2 of the chat template"));
  ExpectInvalid(RenderOf(source, {{"assistant", "a"}}).status(), "found assistant");
  ExpectInvalid(RenderOf("{{ raise_exception() }}").status(), "chat template: ");
}

TEST(ChatTemplateRenderTest, UndefinedPrintsNothingButHasNoFields) {
  EXPECT_EQ(*RenderOf("[{{ nothing }}{{ messages[0].nothing }}{{ messages[7] }}]"), "[]");
  EXPECT_EQ(*RenderOf("{% if nothing %}a{% else %}b{% endif %}"), "b");
  EXPECT_EQ(*RenderOf("{{ nothing is defined }}"), "False");
  for (const char* source :
       {"{{ nothing.field }}", "{{ messages[7].role }}", "{{ messages[0].nothing.field }}",
        "{{ nothing() }}", "{{ messages[0].content.nothing() }}", "{{ 'a'|nothing }}",
        "{{ 'a' is nothing }}", "{{ 'a' + nothing }}"}) {
    ExpectInvalid(RenderOf(source).status(), "line 1 of the chat template");
  }
}

TEST(ChatTemplateRenderTest, TextsAreTreatedAsPythonDoes) {
  const auto of = [](const std::string& expression) {
    return *RenderOf("{% set t = messages[0].content %}{{ " + expression + " }}",
                     {{"user", "\x1c a\xc3\xa9<  b\x1f"}});
  };
  EXPECT_EQ(of("t.strip()"), "a\xc3\xa9<  b");
  EXPECT_EQ(of("t|trim"), "a\xc3\xa9<  b");
  EXPECT_EQ(of("t.rstrip('\x1f') == t[:-1]"), "True");
  EXPECT_EQ(of("t.split()|length"), "2");
  EXPECT_EQ(of("t.split(maxsplit=1)[1]"), "b\x1f");
  EXPECT_EQ(of("t.split(sep='<', maxsplit=0)|length"), "1");
  EXPECT_EQ(of("t.find('<')"), "4");
  EXPECT_EQ(of("t.find('z')"), "-1");
  EXPECT_EQ(of("t.count('')"), "10");
  EXPECT_EQ(of("'a\\r\\nb\\x1cc'.splitlines()|tojson"), R"(["a", "b", "c"])");
  EXPECT_EQ(of("''.isspace() or ''.isdigit()"), "False");
  EXPECT_EQ(of("'a1'.islower() and not 'aB'.islower()"), "True");
  EXPECT_EQ(of("t is sequence and messages is sequence and messages[0] is sequence"), "True");
  EXPECT_EQ(of("'<\\'\"&'|e|e"), "&lt;&#39;&#34;&amp;");
  ExpectInvalid(RenderOf("{{ 'a'.split('') }}").status(), "split: empty separator");
}

TEST(ChatTemplateRenderTest, LoopsHaveALimit) {
  const std::string inner = "{% for j in range(100000) %}{% endfor %}";
  ExpectFault(RenderOf("{% for i in range(100000) %}" + inner + "{% endfor %}").status(),
              absl::StatusCode::kResourceExhausted,
              "chat template: the chat template ran for more than");
  ExpectInvalid(RenderOf("{% for i in range(100000000) %}{% endfor %}").status(), "range");
}

TEST(ChatTemplateRenderTest, RecursionHasALimit) {
  for (const char* source :
       {"{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}"}) {
    ExpectInvalid(RenderOf(source).status(), "recursion limit exceeded");
  }
}

TEST(ChatTemplateRenderTest, OutputHasALimit) {
  for (const std::string& written :
       {std::string("{{ 'x' * 1000 }}"), "{{ messages[0].content }}" + std::string(1000, 'x'),
        std::string("{{ ['x' * 1000, 1]|tojson }}")}) {
    ExpectFault(RenderOf("{% for i in range(100000) %}" + written + "{% endfor %}").status(),
                absl::StatusCode::kResourceExhausted,
                "chat template: the chat template wrote more than 16777216 bytes");
  }
  const std::vector<core::Message> most = {{"user", std::string(16 << 20, 'x')}};
  EXPECT_EQ(RenderOf("{{ messages[0].content }}", most)->size(), size_t{16} << 20);
  EXPECT_TRUE(absl::IsResourceExhausted(RenderOf("{{ messages[0].content }}!", most).status()));
}

TEST(ChatTemplateRenderTest, WhatItMayNotReachIsRefused) {
  for (const char* source :
       {"{% include '/etc/passwd' %}", "{% extends 'x' %}", "{% import 'x' as y %}",
        "{{ ''.__class__.__mro__ }}", "{{ messages.append(1) }}", "{{ strftime_now('%Q') }}",
        "{{ strftime_now() }}", "{{ messages }}", "{{ messages[0] }}"}) {
    ExpectInvalid(RenderOf(source).status(), "");
  }
}

TEST(ChatTemplateRenderTest, MessageThatIsNotUtf8IsNamed) {
  ExpectInvalid(RenderOf("x", {{"user", "a"}, {"assistant", "b\xc3"}}).status(),
                "messages[1].content: invalid UTF-8 at byte 1");
  ExpectInvalid(RenderOf("x", {{"\xff", "a"}}).status(), "messages[0].role: invalid UTF-8");
}

TEST(ChatTemplateRenderTest, EmptyThingsRender) {
  EXPECT_EQ(*RenderOf(""), "");
  const std::string source = "{% for m in messages %}<{{ m.role }}|{{ m.content }}>{% endfor %}";
  EXPECT_EQ(*RenderOf(source, {}), "");
  EXPECT_EQ(*RenderOf(source, {{"", ""}}), "<|>");
  ExpectInvalid(RenderOf("{{ messages[0]['role'] }}{{ messages[0].role.x }}", {}).status(),
                "undefined");
}

TEST(ChatTemplateRenderTest, ContentIsNotRead) {
  const std::string content = "{{ 1 + 1 }}{% if %}{#<&\"'\\u0041\n\t\x01\xc2\xa0\xf0\x9f\xa6\xa9";
  EXPECT_EQ(*RenderOf("{{ messages[0].content }}", {{"user", content}}), content);
  const std::string with_nul("a\0b", 3);
  EXPECT_EQ(*RenderOf("{{ messages[0].content }}", {{"user", with_nul}}), with_nul);
}

TEST(ChatTemplateRenderTest, AFailureLeavesTheTemplateUsable) {
  const auto parsed = ChatTemplate::Parse(
      "{% if messages[0].role == 'loop' %}{% for i in range(100000) %}{% for j in range(100000) %}"
      "x{% endfor %}{% endfor %}{% endif %}ok",
      {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(parsed->Render({{"loop", ""}}, false).ok());
    EXPECT_EQ(*parsed->Render({{"user", ""}}, false), "ok");
  }
}

}  // namespace
}  // namespace jenner::text

#include "wire/tls.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "core/status.h"
#include "wire/certificate.h"

namespace jenner::wire {
namespace {

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "re"),
                                                             std::fclose);
  if (file == nullptr) {
    const std::string text = absl::StrFormat("%s cannot be read: %s", path, std::strerror(errno));
    return errno == ENOENT ? absl::NotFoundError(text) : absl::FailedPreconditionError(text);
  }
  std::string text(max_bytes + 1, '\0');
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) return absl::FailedPreconditionError(path + " cannot be read");
  if (text.size() > max_bytes) {
    return absl::InvalidArgumentError(absl::StrFormat("%s: at most %d bytes", path, max_bytes));
  }
  return text;
}

absl::StatusOr<std::string> ReadPem(const std::string& path, const std::string& kind) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxPemBytes));
  // "BEGIN EC PRIVATE KEY", "BEGIN PRIVATE KEY", "BEGIN CERTIFICATE"
  if (text.find("-----BEGIN ") == std::string::npos ||
      text.find(kind + "-----") == std::string::npos) {
    return absl::InvalidArgumentError(path + ": expected PEM with a " + kind);
  }
  return text;
}

}  // namespace

absl::StatusOr<Tls> ReadTls(const TlsFiles& files) {
  if (files.ca.empty()) {
    return absl::InvalidArgumentError("a certificate is of use with the CA of the other side only");
  }
  if (files.certificate.empty() != files.key.empty()) {
    return absl::InvalidArgumentError("a certificate needs its key and a key its certificate");
  }
  Tls tls;
  ASSIGN_OR_RETURN(tls.ca, ReadPem(files.ca, "CERTIFICATE"));
  if (files.certificate.empty()) return tls;
  ASSIGN_OR_RETURN(tls.certificate, ReadPem(files.certificate, "CERTIFICATE"));
  ASSIGN_OR_RETURN(tls.key, ReadPem(files.key, "PRIVATE KEY"));
  RETURN_IF_ERROR(
      Annotate(CheckPair(tls.certificate, tls.key), files.certificate + " and " + files.key));
  return tls;
}

absl::StatusOr<std::string> ReadSecret(const std::string& path) {
  ASSIGN_OR_RETURN(std::string text, ReadFile(path, kMaxSecretBytes));
  absl::StripAsciiWhitespace(&text);
  for (const char c : text) {
    if (absl::ascii_isgraph(static_cast<unsigned char>(c))) continue;
    return absl::InvalidArgumentError(path + ": expected one word");
  }
  if (text.empty()) return absl::InvalidArgumentError(path + ": is empty");
  return text;
}

}  // namespace jenner::wire

// A GET over plain HTTP of a port of this machine.
#ifndef JENNER_TESTS_INTEGRATION_HTTP_H_
#define JENNER_TESTS_INTEGRATION_HTTP_H_

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>

namespace jenner::tests {

// The whole answer, "HTTP/1.1 200 OK\r\n..."; "": none.
inline std::string HttpGet(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    const std::string request = "GET " + path + " HTTP/1.0\r\nHost: x\r\n\r\n";
    char buffer[8192];
    if (write(fd, request.data(), request.size()) > 0) {
      for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;) {
        answer.append(buffer, static_cast<size_t>(size));
      }
    }
  }
  close(fd);
  return answer;
}

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_HTTP_H_

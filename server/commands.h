// `jenner-server certs|tokens|backup|restore ...`: what is done to a server's files without the
// server. All but restore may be used while it runs.
#ifndef JENNER_SERVER_COMMANDS_H_
#define JENNER_SERVER_COMMANDS_H_

namespace jenner::server {

// True: the command line is one of those, for RunCommand.
bool IsCommand(int argc, char** argv);

// The exit code: 0, 1 (an error, told on standard error) or 2 (the command line).
int RunCommand(int argc, char** argv);

}  // namespace jenner::server

#endif  // JENNER_SERVER_COMMANDS_H_

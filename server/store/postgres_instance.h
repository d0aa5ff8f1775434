// For tests: a PostgreSQL server of their own in a temporary folder, reached by a Unix socket only.
// As root it runs as another user, since it refuses root. It ends with its object, and with this
// process however that ends.
#ifndef JENNER_SERVER_STORE_POSTGRES_INSTANCE_H_
#define JENNER_SERVER_STORE_POSTGRES_INSTANCE_H_

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/store/postgres.h"

namespace jenner::store {

class PostgresInstance {
 public:
  // Takes about a second. Without `syncs` a power cut loses data, which no test makes.
  static absl::StatusOr<std::unique_ptr<PostgresInstance>> Start(bool syncs = false);
  ~PostgresInstance();
  PostgresInstance(const PostgresInstance&) = delete;
  PostgresInstance& operator=(const PostgresInstance&) = delete;

  // The server of this program: started by the first call, ended before main returns.
  // REQUIRES: called while a test of GoogleTest runs.
  static PostgresInstance& Shared();

  // A new, empty database. Returns its connection string.
  std::string NewDatabase();

 private:
  explicit PostgresInstance(std::string folder) : folder_(std::move(folder)) {}
  std::string Connection(const std::string& database) const;

  const std::string folder_;
  pid_t pid_ = -1;
  int num_databases_ = 0;
};

// Runs one statement on a new connection to `connection`; aborts the program if that fails.
PostgresRows RunSql(const std::string& connection, const char* sql,
                    const PostgresParameters& parameters = {});

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_POSTGRES_INSTANCE_H_

// The page of `jenner report`, cut where the document goes. Made by client/report/build.ts.
#ifndef JENNER_CLIENT_CLI_REPORT_PAGE_H_
#define JENNER_CLIENT_CLI_REPORT_PAGE_H_

namespace jenner::cli {

// Head, a JSON document with every "<" escaped, and tail make a self-contained HTML file.
extern const char kReportPageHead[];
extern const char kReportPageTail[];

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_REPORT_PAGE_H_

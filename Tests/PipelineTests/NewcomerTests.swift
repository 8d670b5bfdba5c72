import Foundation
import TestSupport
import Testing

/// What the README and the pages of docs/ tell a newcomer to type.
@Suite(.enabled(if: systemProgram("make") != nil && systemProgram("bash") != nil))
struct NewcomerTests {
  @Test("Every command of README.md and docs/ holds as it stands there")
  func trial() throws {
    let outcome = try run(
      try #require(systemProgram("bash")), ["Tests/newcomer.sh"], in: repository,
      environment: ["BIN": programs])
    let failed = outcome.output.split(separator: "\n").filter { !$0.hasPrefix("ok ") }
    #expect(outcome.code == 0, "\(failed.joined(separator: "\n"))\n\(outcome.errors)")
    // Neither is the list empty because nothing was found on the pages.
    let held = outcome.output.split(separator: "\n").count { $0.hasPrefix("ok ") }
    #expect(held > 35, "\(held)")
  }
}

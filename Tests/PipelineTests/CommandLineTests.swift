import Foundation
import Testing

/// What every program has in common, seen from outside.
@Suite struct CommandLineTests {
  static let names = [
    "vlsi-align", "vlsi-bench", "vlsi-compare", "vlsi-dump", "vlsi-evaluate", "vlsi-extract",
    "vlsi-finetune", "vlsi-generate", "vlsi-prepare", "vlsi-report", "vlsi-synthesize",
    "vlsi-target", "vlsi-verbalize",
  ]

  @Test("--help explains with an example, --version is the one version", arguments: names)
  func help(_ name: String) throws {
    let help = try run(name, ["--help"])
    #expect(help.code == 0)
    #expect(help.errors.isEmpty)
    #expect(help.output.contains("OVERVIEW: "))
    #expect(help.output.contains("USAGE: \(name)"))
    if name != "vlsi-synthesize" {
      #expect(help.output.contains("Example:\n  \(name) "))
    }
    let version = try run(name, ["--version"])
    #expect(version.code == 0)
    #expect(version.output == "0.1.0\n")
  }

  @Test("A wrong option ends with 64 and one line", arguments: names)
  func wrongOption(_ name: String) throws {
    let outcome = try run(name, ["--no-such-option"])
    #expect(outcome.code == 64)
    #expect(outcome.output.isEmpty)
    #expect(outcome.errors.hasPrefix("error: "))
    #expect(outcome.errors.split(separator: "\n").count == 1)
    #expect(outcome.errors.contains("--help"))
  }
}

import Foundation
import TestSupport
import Testing

/// The system's limits and signals end a program with a code and a message, and what was done stays.
@Suite(.serialized) struct LimitTests {
  private let bench: Workbench
  private let scratch: TemporaryFolder

  init() throws {
    bench = try Workbench.shared.get()
    scratch = try TemporaryFolder()
  }

  /// Runs vlsi-extract behind `shell`, the words of the command as "$@".
  private func extract(_ shell: String) throws -> Outcome {
    try run(
      "/bin/bash",
      [
        "-c", shell, "bash", "\(programs)/vlsi-extract", "--role", "student", "--model",
        "\(bench.path)/student", "--samples", "\(bench.path)/samples", "--preset",
        "\(bench.path)/preset.yaml", "--output", scratch("features"),
      ])
  }

  @Test("A file beyond ulimit -f is 74 with a message; without the limit the run goes on")
  func fileSize() throws {
    let outcome = try extract("ulimit -f 4; exec \"$@\"")
    #expect(outcome.code == 74, "\(outcome.errors)")
    #expect(outcome.message.contains("ulimit -f"), "\(outcome.errors)")
    #expect(try extract("exec \"$@\"").code == 0)
  }

  @Test("Too little address space for OpenBLAS's buffers is a message, not an endless wait")
  func addressSpace() throws {
    let outcome = try extract("ulimit -v 250000; exec timeout -k 5 60 \"$@\"")
    #expect(outcome.code == 74, "\(outcome.errors)")
    #expect(outcome.message.contains("ulimit -v"))
    #expect(try extract("ulimit -v 4000000; exec timeout -k 5 60 \"$@\"").code == 0)
  }

  @Test("A log that nobody reads any more does not end the work")
  func closedLog() throws {
    let outcome = try extract(
      "exec 3>&1; { sleep 0.2; \"$@\"; echo \"code $?\" >&3; } 2>&1 >&3 | true")
    #expect(outcome.output.contains("code 0"), "\(outcome.output)")
    #expect(FileManager.default.fileExists(atPath: scratch("features/manifest.json")))
  }

  @Test("A reader that leaves ends vlsi-dump by SIGPIPE, as shells expect")
  func closedOutput() throws {
    let outcome = try run(
      "/bin/bash",
      [
        "-c", "{ sleep 0.2; \"$@\"; echo $? >&3; } 3>&2 | true", "bash", "\(programs)/vlsi-dump",
        "\(bench.path)/samples",
      ])
    #expect(outcome.errors.contains("141"), "\(outcome.errors)")
  }

  @Test("SIGHUP interrupts with 75; under nohup it does not")
  func hangUp() throws {
    // Sent before the first unit of work, it waits for it.
    let kill = "\"$@\" & sleep 0.05; kill -HUP $!; wait $!"
    let outcome = try extract(kill)
    // Too early for the handler, or too late for the work, depending on the machine.
    #expect([0, 75, 129].contains(outcome.code), "\(outcome.code)")
    if outcome.code == 75 { #expect(outcome.message.contains("continue")) }
    #expect(try extract("trap '' HUP; " + kill).code == 0)
  }
}

import Foundation
import TestSupport

/// The repository's folder.
let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent().path

/// Where `swift build` puts the programs.
let programs = "\(repository)/.build/release"

/// How a program ended and what it said.
struct Outcome {
  var code: Int32
  var output: String
  var errors: String

  /// The last line on standard error: the message of a failure.
  var message: String {
    errors.split(separator: "\n").last.map(String.init) ?? ""
  }
}

/// Runs a program to its end. `interruptAfter` sends SIGTERM after that many seconds.
@discardableResult
func run(
  _ program: String, _ arguments: [String], in folder: String = repository,
  environment: [String: String] = [:], interruptAfter: Double? = nil
) throws -> Outcome {
  let process = Process()
  process.executableURL = URL(
    fileURLWithPath: program.contains("/") ? program : "\(programs)/\(program)")
  process.arguments = arguments
  process.currentDirectoryURL = URL(fileURLWithPath: folder)
  // The make that runs the tests must not speak to the make under test.
  var variables = ProcessInfo.processInfo.environment
  for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES"] { variables[name] = nil }
  process.environment = variables.merging(environment) { $1 }
  // Files rather than pipes: nobody has to drain them while the program runs.
  let scratch = try TemporaryFolder()
  let output = try scratch.write("", to: "output")
  let errors = try scratch.write("", to: "errors")
  process.standardOutput = FileHandle(forWritingAtPath: output)
  process.standardError = FileHandle(forWritingAtPath: errors)
  process.standardInput = FileHandle.nullDevice
  try process.run()
  if let interruptAfter {
    Thread.sleep(forTimeInterval: interruptAfter)
    if process.isRunning { process.terminate() }
  }
  process.waitUntilExit()
  let killed = process.terminationReason == .uncaughtSignal
  return Outcome(
    code: killed ? 128 + process.terminationStatus : process.terminationStatus,
    output: (try? String(contentsOfFile: output, encoding: .utf8)) ?? "",
    errors: (try? String(contentsOfFile: errors, encoding: .utf8)) ?? "")
}

/// The path of a program of the system, nil where it is not installed.
func systemProgram(_ name: String) -> String? {
  ["/usr/bin", "/bin", "/usr/local/bin"].map { "\($0)/\(name)" }
    .first { FileManager.default.isExecutableFile(atPath: $0) }
}

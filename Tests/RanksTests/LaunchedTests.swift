import Foundation
import Testing

/// One way to start `try-ranks` several times.
enum Launch: String, CaseIterable, CustomTestStringConvertible {
  case openMPI, openMPIOverTCP, mpich

  var testDescription: String { rawValue }
  private var program: String {
    self == .mpich ? "/usr/bin/mpiexec.mpich" : "/usr/bin/mpirun.openmpi"
  }
  var isMissing: Bool { !FileManager.default.isExecutableFile(atPath: program) }

  /// The launchers that this machine has; says which it lacks.
  static let present = allCases.filter {
    if $0.isMissing { print("skipped: no \($0.program)") }
    return !$0.isMissing
  }

  struct Outcome {
    var code: Int32
    var output: String
    var seconds: Double
  }

  /// Runs `try-ranks` with these arguments; ends it after two minutes.
  func run(_ ranks: Int, _ arguments: String..., environment: [String: String] = [:]) throws
    -> Outcome
  {
    var words = [program]
    if self != .mpich { words += ["--oversubscribe", "--bind-to", "none"] }
    if self == .openMPIOverTCP { words += ["--mca", "btl", "tcp,self"] }
    words += ["-n", "\(ranks)", Launch.tryRanks] + arguments
    return try Launch.run(words, environment)
  }

  static let tryRanks = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent().appending(path: "try-ranks").path

  static func run(_ words: [String], _ environment: [String: String]) throws -> Outcome {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/timeout")
    process.arguments = ["-k", "5", "120"] + words
    var all = ProcessInfo.processInfo.environment
    all["OMPI_ALLOW_RUN_AS_ROOT"] = "1"
    all["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
    process.environment = all.merging(environment) { $1 }
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = pipe
    let begun = Date()
    try process.run()
    let output = pipe.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    return Outcome(
      code: process.terminationStatus, output: String(decoding: output, as: UTF8.self),
      seconds: Date().timeIntervalSince(begun))
  }
}

@Suite("Ranks under a launcher", .serialized)
struct LaunchedTests {
  @Test(
    "Every operation gives what it promises, and sends as many bytes",
    arguments: Launch.present, [2, 3, 4])
  func operations(launch: Launch, ranks: Int) throws {
    let outcome = try launch.run(ranks, "check")
    #expect(outcome.code == 0, "\(outcome.output)")
    #expect(outcome.output.components(separatedBy: "ok: ").count == ranks + 1)
  }

  @Test("Many pieces", arguments: Launch.present)
  func large(launch: Launch) throws {
    let outcome = try launch.run(3, "check", "5000003")
    #expect(outcome.code == 0, "\(outcome.output)")
  }

  @Test("A sum has the same bytes with every library and transport", arguments: [2, 4])
  func sameBytes(ranks: Int) throws {
    let sums = try Launch.present.flatMap {
      try $0.run(ranks, "hash").output.split(separator: "\n").filter { $0.hasPrefix("sum ") }
    }
    #expect(sums.count == Launch.present.count * ranks)
    #expect(Set(sums).count <= 1)
  }

  @Test("A rank that is killed ends all", arguments: Launch.present)
  func killed(launch: Launch) throws {
    let outcome = try launch.run(3, "loop", "1", "kill")
    #expect(outcome.code != 0 && outcome.seconds < 60)
  }

  @Test("A rank that fails ends all with its code", arguments: Launch.present)
  func failed(launch: Launch) throws {
    let outcome = try launch.run(3, "loop", "1", "fail")
    #expect(outcome.code == 74 && outcome.seconds < 60, "\(outcome.output)")
  }

  @Test("A rank that does something else is named", arguments: Launch.present)
  func disagreeing(launch: Launch) throws {
    let outcome = try launch.run(2, "loop", "1", "short")
    #expect(outcome.code == 70, "\(outcome.output)")
    #expect(outcome.output.contains("the ranks do not exchange the same"))
  }

  @Test("Who is silent for too long is named", arguments: Launch.present)
  func silent(launch: Launch) throws {
    let outcome = try launch.run(
      3, "loop", "1", "sleep", environment: ["VLSI_MPI_PATIENCE": "2"])
    #expect(outcome.code == 75 && outcome.seconds < 60)
    #expect(
      outcome.output.contains(/nothing was heard for [0-9]+ s of rank 1\./), "\(outcome.output)")
  }

  @Test("All may stop in order with a code of their own", arguments: Launch.present)
  func stopped(launch: Launch) throws {
    #expect(try launch.run(3, "stop").code == 75)
  }

  @Test("A library that is missing, no MPI or of the other family", arguments: Launch.present)
  func wrongLibrary(launch: Launch) throws {
    for library in ["libnothing.so", "libc.so.6"] {
      let outcome = try launch.run(2, "check", environment: ["VLSI_MPI": library])
      #expect(outcome.code == 64)
      #expect(outcome.output.contains("VLSI_MPI"))
    }
    guard !Launch.openMPI.isMissing, !Launch.mpich.isMissing else { return }
    let other = launch == .mpich ? "libmpi.so.40" : "libmpich.so.12"
    let outcome = try launch.run(2, "check", environment: ["VLSI_MPI": other])
    #expect(outcome.code == 64, "\(outcome.output)")
    #expect(outcome.output.contains("launcher started 2 processes"))
  }

  @Test("One process opens nothing", arguments: Launch.present)
  func one(launch: Launch) throws {
    let outcome = try launch.run(1, "check", "100", environment: ["VLSI_MPI": "libnothing.so"])
    #expect(outcome.code == 0, "\(outcome.output)")
    #expect(outcome.output.contains("rank 0 of 1, none"))
  }

  @Test("A task of an srun without MPI is refused")
  func unconnected() throws {
    let outcome = try Launch.run([Launch.tryRanks, "check"], ["SLURM_STEP_NUM_TASKS": "4"])
    #expect(outcome.code == 64)
    #expect(outcome.output.contains("--mpi=pmix"))
  }
}

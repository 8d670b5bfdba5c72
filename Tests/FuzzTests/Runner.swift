import Artifacts
import Failures
import Foundation
import Kernels
import TestSupport
import Testing

@testable import vlsi_prepare

/// The input that is being decoded, in a file that is mapped: a trap leaves it behind.
final class Witness {
  let path: String
  private static let size = 1 << 24
  private let bytes: UnsafeMutableRawPointer

  init(_ name: String) throws {
    path = NSTemporaryDirectory() + "vlsi-fuzz-\(name)-\(getpid())"
    let descriptor = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    defer { close(descriptor) }
    let start =
      ftruncate(descriptor, off_t(Witness.size)) == 0
      ? mmap(nil, Witness.size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0) : MAP_FAILED
    guard let start, start != MAP_FAILED else {
      throw Failure(.cannotCreate, "the file for the input cannot be mapped", at: path)
    }
    bytes = start
  }

  deinit {
    munmap(bytes, Witness.size)
    unlink(path)
  }

  /// The length, 8 bytes, then the input.
  func note(_ input: [UInt8]) {
    let count = min(input.count, Witness.size - 8)
    bytes.storeBytes(of: UInt64(count).littleEndian, as: UInt64.self)
    input.withUnsafeBytes {
      (bytes + 8).copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(bytes), byteCount: count)
    }
  }

  /// What a trap left in `path`, or a file as it is.
  static func input(in path: String) throws -> [UInt8] {
    let whole = try Files.read(path)
    guard (path as NSString).lastPathComponent.hasPrefix("vlsi-fuzz-"), whole.count == size else {
      return whole
    }
    let count = whole.withUnsafeBytes { UInt64(littleEndian: $0.load(as: UInt64.self)) }
    return Array(whole[8..<(8 + min(Int(clamping: count), size - 8))])
  }
}

/// Feeds one decoder with changed inputs.
struct Runner {
  let decoder: Decoder
  let seed: UInt64
  private(set) var accepted = 0
  private(set) var refused = 0
  private(set) var slowest = Duration.zero

  /// Nothing takes longer, on whatever machine.
  static let mostTime = Duration.seconds(20)
  /// The readable length of a message (`Failure`), its parts together.
  static let longestMessage = 6000

  init(_ decoder: Decoder, seed: UInt64) {
    self.decoder = decoder
    self.seed = seed
  }

  /// Each input has its number, and by it can be had again.
  func input(_ number: Int) -> [UInt8] {
    let name = decoder.name.utf8.reduce(0 as UInt64) { SplitMix64.stir($0 ^ UInt64($1)) }
    var mutator = Mutator(
      noise: SplitMix64(seed: SplitMix64.stir(seed ^ name) &+ SplitMix64.stir(UInt64(number))))
    var bytes = mutator.input(from: decoder.seeds, decoder.form)
    if let seal = decoder.seal, Int.random(in: 0..<4, using: &mutator.noise) > 0 { seal(&bytes) }
    return bytes
  }

  /// Decodes one input; what is wrong with how that went, or nil.
  mutating func decode(_ bytes: [UInt8]) -> String? {
    var problem: String?
    let time = ContinuousClock().measure {
      do {
        try decoder.decode(bytes)
        accepted += 1
      } catch let failure as Failure {
        refused += 1
        let text = "\(failure)"
        if !decoder.codes.contains(failure.code) {
          problem = "exit code \(failure.code.rawValue): \(text)"
        } else if text.utf8.count > Runner.longestMessage {
          problem = "a message of \(text.utf8.count) bytes: \(text.prefix(200))"
        }
      } catch is Rejection {
        refused += 1
      } catch {
        problem = "not a Failure: \(error)"
      }
    }
    slowest = max(slowest, time)
    return problem ?? (time > Runner.mostTime ? "took \(time)" : nil)
  }

  /// As many inputs as said, or for as long.
  mutating func run(inputs: Int, for time: Duration? = nil, say: (String) -> Void) throws {
    let witness = try Witness(decoder.name)
    if time != nil { say("\(decoder.name): seed \(seed), the input at hand is in \(witness.path)") }
    let clock = ContinuousClock()
    let start = clock.now
    var number = 0, problems = 0
    while time.map({ clock.now - start < $0 }) ?? (number < inputs), problems < 5 {
      let bytes = input(number)
      witness.note(bytes)
      if let problem = decode(bytes) {
        problems += 1
        let kept = NSTemporaryDirectory() + "vlsi-fuzz-found-\(decoder.name)-\(seed)-\(number)"
        try? Data(bytes).write(to: URL(fileURLWithPath: kept))
        Issue.record("\(decoder.name), seed \(seed), input \(number), kept in \(kept): \(problem)")
      }
      number += 1
    }
    let seconds = (clock.now - start) / .seconds(1)
    var usage = rusage()
    getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
    say(
      "\(decoder.name): \(number) inputs, \(accepted) accepted, \(refused) refused, "
        + "\(Int(Double(number) / seconds)) a second, the slowest \(slowest), "
        + "peak \(usage.ru_maxrss / 1024) MB")
  }
}

@Suite(.serialized) struct FuzzTests {
  private static let environment = ProcessInfo.processInfo.environment
  private static let seed = environment["VLSI_FUZZ_SEED"].flatMap { UInt64($0) } ?? 1
  private static let minutes = environment["VLSI_FUZZ_MINUTES"].flatMap { Double($0) }
  private static let inputs = environment["VLSI_FUZZ_INPUTS"].flatMap { Int($0) }

  private static func say(_ text: String) {
    FileHandle.standardError.write(Data((text + "\n").utf8))
  }

  @Test("A sound input is accepted by every decoder: its seeds are worth changing")
  func seeds() throws {
    let folder = try TemporaryFolder(inMemory: true)
    for decoder in try Decoder.all(folder) {
      for (number, seed) in decoder.seeds.enumerated() {
        do { try decoder.decode(seed.bytes) } catch {
          Issue.record("\(decoder.name), seed \(number): \(error)")
        }
      }
    }
  }

  @Test(
    "Whatever the bytes are, a decoder gives a value or says what is wrong",
    arguments: Decoder.names.filter { name in
      environment["VLSI_FUZZ_DECODER"].map { $0.isEmpty || $0 == name } ?? true
    })
  func decoders(name: String) throws {
    let folder = try TemporaryFolder(inMemory: true)
    guard let decoder = try Decoder.all(folder).first(where: { $0.name == name }) else {
      Issue.record("no decoder \(name)")
      return
    }
    var runner = Runner(decoder, seed: Self.seed)
    if let path = Self.environment["VLSI_FUZZ_INPUT"], !path.isEmpty {
      if let problem = runner.decode(try Witness.input(in: path)) { Issue.record("\(problem)") }
      return
    }
    let one = Self.environment["VLSI_FUZZ_DECODER"].map { !$0.isEmpty } ?? false
    let time = Self.minutes.map {
      Duration.seconds($0 * 60 / Double(one ? 1 : Decoder.names.count))
    }
    let loud = time != nil || Self.inputs != nil
    try runner.run(inputs: Self.inputs ?? decoder.quick, for: Self.inputs == nil ? time : nil) {
      if loud { Self.say($0) }
    }
  }
}

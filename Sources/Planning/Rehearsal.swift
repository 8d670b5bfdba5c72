import Artifacts
import Checkpoints
import Distillation
import Failures
import Foundation
import Kernels
import Models
import Tensors
import Training

/// Measures on this machine what the stages' work costs, with a backbone of one block over real
/// samples: a few seconds that stand for hours.
public final class Rehearsal {
  /// Tokens of a rehearsed pass: enough that the weights' widening is spread over them as in a full
  /// pass.
  private static let tokens = 512
  private static let patches = 2048
  /// Positions of two passes over a head, from which what one costs follows.
  private static let positions = (few: 16, many: 144)

  private let checkpoint: Checkpoint
  private let model: VisionLanguageModel
  private let needs: ModelNeeds
  private let batch: ExampleBatch
  private let lengths: [Int]
  private let patches: [Int]
  private let clock = ContinuousClock()

  /// - Parameters:
  ///   - reader: samples of the data set; the first ones are rehearsed
  ///   - threads: of the kernels
  /// - Throws: 65 or 66 for a bad checkpoint or sample.
  public init(_ checkpoint: Checkpoint, reader: ExampleReader, threads: Int) throws {
    self.checkpoint = checkpoint
    let config = checkpoint.config.shortened(layers: 1, encoderBlocks: 1)
    model = VisionLanguageModel(config: config)
    try model.weights.map(checkpoint)
    needs = ModelNeeds(config, threads: threads)
    var examples: [Example] = []
    var tokens = 0, patches = 0
    for index in reader.indices
    where examples.isEmpty || (tokens < Self.tokens && patches < Self.patches) {
      let example = try reader.example(index)
      examples.append(example)
      tokens += example.sample.inputIDs.count
      patches += example.sample.images.reduce(0) { $0 + $1.patchCount }
    }
    batch = try ExampleBatch(examples, model: model)
    lengths = examples.map(\.sample.inputIDs.count)
    self.patches = examples.flatMap { $0.sample.images.map(\.patchCount) }
  }

  private func seconds(_ body: () throws -> Void) rethrows -> Double {
    // The first time brings the weights into memory. Of the others the best: what disturbs them is of
    // this moment, and a stage takes hours.
    try body()
    let trials = try (0..<3).map { _ in Self.seconds(try clock.measure(body)) }
    return max(1e-9, trials.min() ?? 0)
  }

  /// Operations a second of the vision encoder, nil where no sample has an image.
  public func encodingSpeed() -> Double? {
    guard !patches.isEmpty else { return nil }
    return needs.encodingOperations(patches: patches)
      / seconds { _ = model.visualEmbeddings(batch.batch, tape: Tape(recording: false)) }
  }

  private func visual() -> Tensor? {
    let count = batch.batch.visualRows.count
    guard count > 0 else { return nil }
    return Tensor(
      [Float](repeating: 0.01, count: count * model.config.visualWidth),
      [count, model.config.visualWidth])
  }

  /// Operations of a forward pass that a second brings about, without a gradient.
  public func forwardSpeed() -> Double {
    let visual = visual()
    return needs.forwardOperations(lengths: lengths)
      / seconds {
        _ = model.forward(
          batch.batch, tape: Tape(recording: false), rows: batch.rows, visual: visual)
      }
  }

  /// The same when the pass is followed by its gradient. Call it last: weights change their place.
  /// - Parameter loraRank: of the adapters that learn; nil for the weights themselves.
  public func trainingSpeed(loraRank: Int?) -> Rates.Training {
    if let loraRank {
      model.train([])
      var generator = SplitMix64(seed: 1)
      LowRankAdapters.attach(to: model, rank: loraRank, alpha: Float(loraRank)) {
        generator.uniform()
      }
    } else {
      LowRankAdapters.detach(from: model)
      model.train([.language])
      model.embedding.freeze()
    }
    let visual = visual()
    let rows = batch.rows.isEmpty ? [0] : batch.rows
    let zero = Tensor(
      [Float](repeating: 0, count: rows.count * checkpoint.config.text.hiddenSize),
      [rows.count, checkpoint.config.text.hiddenSize])
    func speed(_ recomputing: VisionLanguageModel.Recomputation) -> Double {
      needs.forwardOperations(lengths: lengths)
        / seconds {
          let tape = Tape(recording: true)
          let output = model.forward(
            batch.batch, tape: tape, rows: rows, visual: visual, recomputing: recomputing)
          tape.backward(tape.squaredDistance(output.last, to: zero))
        }
    }
    return Rates.Training(kept: speed(.none), recomputed: speed(.all))
  }

  private func pace(
    width: Int, _ pass: (UnsafePointer<Float>, _ positions: Int) throws -> Void
  ) rethrows -> Rates.Pace {
    let (few, many) = Self.positions
    var generator = SplitMix64(seed: 2)
    let vectors = Tensor(
      (0..<many * width).map { _ in Float(generator.uniform()) - 0.5 }, [many, width])
    let short = try seconds { try pass(vectors.values, few) }
    let long = try seconds { try pass(vectors.values, many) }
    let position = max(1e-9, (long - short) / Double(many - few))
    return Rates.Pace(pass: max(0, short - Double(few) * position), position: position)
  }

  /// What it takes to speak through the head with the expectation, as a loss on it needs.
  public func speakingPace() throws -> Rates.Pace {
    let head = try LanguageHead(checkpoint)
    return pace(width: head.width) { vectors, positions in
      _ = head.read(vectors, positions: positions, [.expectation, .entropy])
    }
  }

  /// What it takes to bring this teacher's words to the student's width.
  public func projectingPace(to student: Checkpoint) throws -> Rates.Pace {
    let heads = (try LanguageHead(checkpoint), try LanguageHead(student))
    let shared = min(heads.0.vocabulary, heads.1.vocabulary)
    let (teacher, other) = (try heads.0.prefix(shared), try heads.1.prefix(shared))
    return try pace(width: teacher.width) { vectors, positions in
      _ = try teacher.project(vectors, positions: positions, through: other)
    }
  }

  /// Bytes a second of memory that the system hands out for the first time.
  public static func clearingSpeed() -> Double {
    let bytes = 256 << 20
    let time = ContinuousClock().measure {
      guard
        let pages = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
        pages != MAP_FAILED
      else { return }
      memset(pages, 1, bytes)
      munmap(pages, bytes)
    }
    return Double(bytes) / max(1e-3, Self.seconds(time))
  }

  /// Seconds a random initial weight.
  public static func drawingSeconds() -> Double {
    let count = 1 << 20
    var generator = SplitMix64(seed: 3)
    let time = ContinuousClock().measure { _ = generator.normals(count, deviation: 1) }
    return Self.seconds(time) / Double(count)
  }

  private static func seconds(_ time: Duration) -> Double {
    Double(time.components.seconds) + Double(time.components.attoseconds) * 1e-18
  }

  /// Seconds a weight of an optimizer step.
  public static func optimizerSeconds(_ moments: AdamW.MomentStorage) -> Double {
    let count = 1 << 22
    let weight = Parameter(
      "w", shape: [count], values: [Float](repeating: 0.1, count: count), trainable: true)
    let optimizer = AdamW([weight], AdamW.Settings(moments: moments))
    let clock = ContinuousClock()
    var best = Double.infinity
    for _ in 0..<3 {
      weight.gradientSum()?.update(repeating: 0.01, count: count)
      let time = clock.measure { optimizer.step(learningRate: 1e-5) }
      best = min(best, seconds(time))
    }
    return best / Double(count)
  }

  /// Bytes a second that the disk of `directory` takes and keeps.
  /// - Throws: 73 or 74.
  public static func writingSpeed(in directory: String) throws -> Double {
    let path = Files.join(directory, "rehearsal.partial")
    defer { try? FileManager.default.removeItem(atPath: path) }
    let block = [UInt8](repeating: 0x5A, count: 1 << 22)
    let clock = ContinuousClock()
    let time = try clock.measure {
      let file = try OutputFile(path)
      for _ in 0..<32 { try block.withUnsafeBytes { try file.write($0) } }
      try file.commit()
    }
    return Double(32 * block.count) / max(1e-6, seconds(time))
  }

  /// Bytes a second that come from the checkpoint's disk as stages read it, mapped and past what memory
  /// holds already.
  public static func readingSpeed(of checkpoint: Checkpoint) -> Double? {
    guard let name = checkpoint.files.last else { return nil }
    let descriptor = open(Files.join(checkpoint.directory, name), O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { return nil }
    let page = 1 << 12
    let bytes = min(128 << 20, Int(info.st_size) / page * page)
    let start = (Int(info.st_size) - bytes) / page * page
    posix_fadvise(descriptor, off_t(start), 0, POSIX_FADV_DONTNEED)
    guard bytes > 0,
      let pages = mmap(nil, bytes, PROT_READ, MAP_PRIVATE, descriptor, off_t(start)),
      pages != MAP_FAILED
    else { return nil }
    defer { munmap(pages, bytes) }
    var sum = 0
    let time = ContinuousClock().measure {
      for place in stride(from: 0, to: bytes, by: page) {
        sum &+= Int(pages.load(fromByteOffset: place, as: UInt8.self))
      }
    }
    // The sum is looked at, or the loop would be left out.
    return sum < 0 ? nil : Double(bytes) / max(1e-6, seconds(time))
  }
}

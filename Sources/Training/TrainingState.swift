import Artifacts
import Checkpoints
import Failures
import Kernels
import Ranks
import Tensors

/// What an interrupted training needs to go on as if nothing had happened: the learned values, the
/// optimizer's moments, the step, and whatever words the stage adds (its place in the data, say).
///
/// The two newest are kept in the unfinished artifact, `state.safetensors` and
/// `state.previous.safetensors`, each with a checksum over all of it: where the newer one is
/// damaged the older one serves. They go when the artifact is finished.
public struct TrainingState {
  /// Copies on disk while a third is being written: the two that are kept, and that one.
  public static let mostCopies = 3

  /// The newest, and the one before it.
  let paths: [String]
  /// Of settings and inputs: a state that was written under others is not continued.
  public let fingerprint: String

  public init(directory: String, fingerprint: String) {
    paths = ["state", "state.previous"].map { Files.join(directory, "\($0).safetensors") }
    self.fingerprint = fingerprint
  }

  /// Writes the state after `step` finished steps, straight from where the numbers lie: a copy of
  /// a large model's moments would not fit. What was the newest state becomes the previous one once
  /// this one is safe. The file is the same however many ranks there are: rank 0 writes what all
  /// have, and all return when it is safe. Throws 73 or 74.
  public func save(
    step: Int, _ training: ParallelOptimizers, words: [String: String] = [:]
  ) throws {
    try training.gatherWeights()
    let optimizers = training.optimizers
    var tensors: [OutputTensor] = []
    for (number, optimizer) in optimizers.enumerated() {
      for (parameter, moment) in zip(optimizer.parameters, optimizer.moments) {
        tensors.append(
          OutputTensor(
            name: "\(number).value.\(parameter.name)", type: .float32, shape: parameter.shape
          ) { parameter.floats })
        let parts = optimizer.sharding.parts(of: parameter.count)
        for stretch in moment.stretches {
          tensors.append(
            OutputTensor(
              name: "\(number).\(stretch.name).\(parameter.name)", type: stretch.type,
              shape: [stretch.elements(0..<parameter.count).count]
            ) { write in
              try TrainingState.collect(stretch, parts, training.ranks, write)
            })
        }
      }
    }
    guard training.ranks.rank == 0 else {
      for tensor in tensors where !tensor.name.contains(".value.") {
        try tensor.produce { _ in }
      }
      return try training.ranks.meet()
    }
    var metadata = words
    metadata["step"] = String(step)
    metadata["fingerprint"] = fingerprint
    metadata["optimizer_steps"] = optimizers.map { String($0.steps) }.joined(separator: ",")
    try SealedSafetensors.write(paths[0], tensors, metadata: metadata) {
      if Files.exists(paths[0]) { try Files.move(paths[0], to: paths[1]) }
    }
    try training.ranks.meet()
  }

  /// Hands a parameter's moments to `write` on rank 0, rank after rank; the others send theirs.
  private static func collect(
    _ stretch: Moments.Stretch, _ parts: [Range<Int>], _ ranks: Ranks,
    _ write: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    let most = 16 << 20
    for (owner, part) in parts.enumerated() {
      let bytes = stretch.elements(part).count * stretch.type.size
      if owner == 0 {
        if ranks.rank == 0 {
          try write(UnsafeRawBufferPointer(start: stretch.pointer, count: bytes))
        }
        continue
      }
      guard ranks.rank == 0 || ranks.rank == owner else { continue }
      var room = [UInt8](repeating: 0, count: ranks.rank == 0 ? min(most, bytes) : 0)
      for start in stride(from: 0, to: bytes, by: most) {
        let count = min(most, bytes - start)
        let places = parts.indices.map {
          $0 < owner ? 0..<0 : $0 == owner ? 0..<count : count..<count
        }
        if ranks.rank == owner {
          try ranks.collect(
            UnsafeMutableRawBufferPointer(start: stretch.pointer + start, count: count),
            parts: places)
        } else {
          try room.withUnsafeMutableBytes { room in
            try ranks.collect(
              UnsafeMutableRawBufferPointer(rebasing: room[..<count]), parts: places)
            try write(UnsafeRawBufferPointer(rebasing: room[..<count]))
          }
        }
      }
    }
  }

  /// Puts the newest sound state back; nil when there is none, or it belongs to other settings or
  /// inputs. Nothing is changed by a state that is not taken. Each rank takes its part, however many
  /// there were when it was written.
  /// - Parameter damaged: called for each state that cannot be used, newest first.
  /// Throws 66, 74 when reading itself fails, or the ranks found different states.
  public func restore(
    _ training: ParallelOptimizers, damaged: (Failure) -> Void = { _ in }
  ) throws -> (step: Int, words: [String: String])? {
    let found = try newest(training.optimizers, damaged: damaged)
    let steps = try training.ranks.gather([Double(found?.step ?? 0)]).joined()
    guard steps.allSatisfy({ $0 == steps.first }) else {
      throw Failure(
        .ioFailed, "the ranks found different states of the training", at: paths[0],
        found: "steps " + steps.map { String(Int($0)) }.joined(separator: ", "),
        advice: "Is the folder on a file system that all their machines share?")
    }
    return found
  }

  private func newest(
    _ optimizers: [AdamW], damaged: (Failure) -> Void
  ) throws -> (step: Int, words: [String: String])? {
    for path in paths where Files.exists(path) {
      do {
        if let found = try restore(path, optimizers) { return found }
      } catch let failure as Failure where failure.code == .badData {
        damaged(failure)
      }
    }
    return nil
  }

  private func restore(
    _ path: String, _ optimizers: [AdamW]
  ) throws -> (step: Int, words: [String: String])? {
    try SealedSafetensors.check(path)
    let file = try readSafetensorsFile(path)
    let metadata = file.metadata
    guard metadata["fingerprint"] == fingerprint, let step = metadata["step"].flatMap(Int.init)
    else { return nil }
    let counts = (metadata["optimizer_steps"] ?? "").split(separator: ",").compactMap { Int($0) }
    guard counts.count == optimizers.count else { return nil }
    // All of it is looked at before any of it is taken.
    var copies: [() -> Void] = []
    for (number, optimizer) in optimizers.enumerated() {
      copies.append { optimizer.steps = counts[number] }
      for (parameter, moment) in zip(optimizer.parameters, optimizer.moments) {
        guard let values = parameter.mutableValues else { continue }
        copies.append(
          try copy(
            "\(number).value.\(parameter.name)", .float32, parameter.shape, 0..<parameter.count,
            file, to: values))
        let part = optimizer.sharding.part(of: parameter.count)
        for stretch in moment.stretches {
          copies.append(
            try copy(
              "\(number).\(stretch.name).\(parameter.name)", stretch.type,
              [stretch.elements(0..<parameter.count).count], stretch.elements(part), file,
              to: stretch.pointer))
        }
      }
    }
    copies.forEach { $0() }
    return (step, metadata)
  }

  /// What copies some elements of a tensor of this shape.
  private func copy(
    _ name: String, _ type: ElementType, _ shape: [Int], _ elements: Range<Int>,
    _ file: SafetensorsFile, to target: UnsafeMutableRawPointer
  ) throws -> () -> Void {
    guard let stored = file.tensors[name], stored.shape == shape, stored.type == type else {
      throw Failure(
        .badData, "tensor \(name) is missing or has another shape", at: file.path,
        expected: "\(type.rawValue) \(shape)",
        found: file.tensors[name].map { "\($0.type.rawValue) \($0.shape)" })
    }
    return {
      withExtendedLifetime(stored.owner) {
        target.copyMemory(
          from: stored.pointer + elements.lowerBound * type.size,
          byteCount: elements.count * type.size)
      }
    }
  }
}

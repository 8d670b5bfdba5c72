import Artifacts
import Checkpoints
import Failures
import Kernels
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
  /// this one is safe. Throws 73 or 74.
  public func save(step: Int, optimizers: [AdamW], words: [String: String] = [:]) throws {
    var tensors: [OutputTensor] = []
    for (number, optimizer) in optimizers.enumerated() {
      for (parameter, moment) in zip(optimizer.parameters, optimizer.moments) {
        tensors.append(
          OutputTensor(
            name: "\(number).value.\(parameter.name)", type: .float32, shape: parameter.shape
          ) { parameter.floats })
        for part in moment.parts {
          tensors.append(
            OutputTensor(
              name: "\(number).\(part.name).\(parameter.name)", type: part.type,
              shape: [part.count]
            ) { write in
              let size = part.count * part.type.size
              try write(UnsafeRawBufferPointer(start: part.pointer, count: size))
            })
        }
      }
    }
    var metadata = words
    metadata["step"] = String(step)
    metadata["fingerprint"] = fingerprint
    metadata["optimizer_steps"] = optimizers.map { String($0.steps) }.joined(separator: ",")
    try SealedSafetensors.write(paths[0], tensors, metadata: metadata) {
      if Files.exists(paths[0]) { try Files.move(paths[0], to: paths[1]) }
    }
  }

  /// Puts the newest sound state back; nil when there is none, or it belongs to other settings or
  /// inputs. Nothing is changed by a state that is not taken.
  /// - Parameter damaged: called for each state that cannot be used, newest first.
  /// Throws 66, 74 when reading itself fails.
  public func restore(
    _ optimizers: [AdamW], damaged: (Failure) -> Void = { _ in }
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
            "\(number).value.\(parameter.name)", .float32, parameter.shape, file, to: values))
        for part in moment.parts {
          copies.append(
            try copy(
              "\(number).\(part.name).\(parameter.name)", part.type, [part.count], file,
              to: part.pointer))
        }
      }
    }
    copies.forEach { $0() }
    return (step, metadata)
  }

  private func copy(
    _ name: String, _ type: ElementType, _ shape: [Int], _ file: SafetensorsFile,
    to target: UnsafeMutableRawPointer
  ) throws -> () -> Void {
    guard let stored = file.tensors[name], stored.shape == shape, stored.type == type else {
      throw Failure(
        .badData, "tensor \(name) is missing or has another shape", at: file.path,
        expected: "\(type.rawValue) \(shape)",
        found: file.tensors[name].map { "\($0.type.rawValue) \($0.shape)" })
    }
    return {
      withExtendedLifetime(stored.owner) {
        target.copyMemory(from: stored.pointer, byteCount: stored.byteCount)
      }
    }
  }
}

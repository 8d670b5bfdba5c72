import Artifacts
import Checkpoints
import Failures
import Foundation
import Kernels
import Tensors

/// What an interrupted training needs to go on as if nothing had happened: the learned values, the
/// optimizer's moments, the step, and whatever words the stage adds (a generator's state, say). A
/// file `state.safetensors` in the unfinished artifact, replaced atomically, deleted at the end.
public struct TrainingState {
  public let path: String
  /// Of settings and inputs: a state that was written under others is not continued.
  public let fingerprint: String

  public init(directory: String, fingerprint: String) {
    path = directory + "/state.safetensors"
    self.fingerprint = fingerprint
  }

  /// Writes the state after `step` finished steps, straight from where the numbers lie: a copy of
  /// a large model's moments would not fit. Throws 73 or 74.
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
    try writeSafetensorsFile(path, tensors, metadata: metadata)
  }

  /// Puts an earlier state back and returns its step and words; nil when there is none, or it
  /// belongs to other settings or inputs. Throws 65 when the file is damaged.
  public func restore(_ optimizers: [AdamW]) throws -> (step: Int, words: [String: String])? {
    guard Files.exists(path) else { return nil }
    let file = try readSafetensorsFile(path)
    let metadata = file.metadata
    guard metadata["fingerprint"] == fingerprint, let step = metadata["step"].flatMap(Int.init)
    else { return nil }
    let counts = (metadata["optimizer_steps"] ?? "").split(separator: ",").compactMap { Int($0) }
    guard counts.count == optimizers.count else { return nil }
    for (number, optimizer) in optimizers.enumerated() {
      optimizer.steps = counts[number]
      for (parameter, moment) in zip(optimizer.parameters, optimizer.moments) {
        guard let values = parameter.mutableValues else { continue }
        try restore(
          "\(number).value.\(parameter.name)", .float32, parameter.shape, file, to: values)
        for part in moment.parts {
          try restore(
            "\(number).\(part.name).\(parameter.name)", part.type, [part.count], file,
            to: part.pointer)
        }
      }
    }
    return (step, metadata)
  }

  private func restore(
    _ name: String, _ type: ElementType, _ shape: [Int], _ file: SafetensorsFile,
    to target: UnsafeMutableRawPointer
  ) throws {
    guard let stored = file.tensors[name], stored.shape == shape, stored.type == type else {
      throw Failure(
        .badData, "tensor \(name) is missing or has another shape", at: path,
        expected: "\(type.rawValue) \(shape)",
        found: file.tensors[name].map { "\($0.type.rawValue) \($0.shape)" },
        advice: "Delete the file to start over.")
    }
    withExtendedLifetime(stored.owner) {
      target.copyMemory(from: stored.pointer, byteCount: stored.byteCount)
    }
  }

  /// Removes the state of a finished training.
  public func delete() {
    try? FileManager.default.removeItem(atPath: path)
  }
}

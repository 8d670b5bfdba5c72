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
        let parts: [(kind: String, values: () -> UnsafePointer<Float>)] = [
          ("value", { parameter.floats }), ("first", { UnsafePointer(moment.first.pointer) }),
          ("second", { UnsafePointer(moment.second.pointer) }),
        ]
        for (kind, values) in parts {
          tensors.append(
            OutputTensor(
              name: "\(number).\(kind).\(parameter.name)", type: .float32,
              shape: parameter.shape, values: values))
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
        for (kind, target) in [
          ("value", values), ("first", moment.first.pointer), ("second", moment.second.pointer),
        ] {
          let name = "\(number).\(kind).\(parameter.name)"
          guard let stored = file.tensors[name], stored.shape == parameter.shape,
            stored.type == .float32
          else {
            throw Failure(
              .badData, "tensor \(name) is missing or has another shape", at: path,
              expected: "\(parameter.shape)", advice: "Delete the file to start over.")
          }
          withExtendedLifetime(stored.owner) {
            widen(stored.pointer, stored.type, stored.count, to: target)
          }
        }
      }
    }
    return (step, metadata)
  }

  /// Removes the state of a finished training.
  public func delete() {
    try? FileManager.default.removeItem(atPath: path)
  }
}

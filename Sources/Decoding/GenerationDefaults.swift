import Artifacts
import Checkpoints
import Failures

/// What a checkpoint's generation_config.json says that holds for every answer: where it ends, and
/// how repetition is penalised. Its sampling settings are not taken: the published checkpoints' keep
/// one token (`top_k` 1), which is greedy.
public struct GenerationDefaults: Sendable, Equatable {
  /// `eos_token_id`.
  public var stop: Set<Int32> = []
  /// `repetition_penalty`.
  public var repetitionPenalty: Float = 1

  /// Reads the file, where there is one. Throws 65 when it is no such file.
  public init(directory: String) throws {
    let place = Files.join(directory, "generation_config.json")
    guard Files.exists(place) else { return }
    let json = try JSON(file: place, limit: 1 << 20)
    func refused(_ key: String, _ expected: String) -> Failure {
      Failure(
        .badData, "bad \"\(key)\"", at: place, expected: expected,
        found: json[key].map { String($0.text().prefix(60)) })
    }
    if let value = json["eos_token_id"], value != .null {
      let ids = (value.asArray ?? [value]).map { $0.asInt.flatMap { Int32(exactly: $0) } }
      stop = Set(ids.compactMap { $0 })
      guard ids.allSatisfy({ $0 != nil }) else { throw refused("eos_token_id", "token ids") }
    }
    if let value = json["repetition_penalty"], value != .null {
      guard let penalty = value.asDouble, penalty > 0, penalty.isFinite else {
        throw refused("repetition_penalty", "a number above 0")
      }
      repetitionPenalty = Float(penalty)
    }
  }
}

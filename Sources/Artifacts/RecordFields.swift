import Failures

/// A record's tensors as its reader wants them: there, of a shape, and refused by name and place.
public struct RecordFields: Sendable {
  public let record: Record
  public let place: String
  private let advice: String?

  /// - Parameter advice: what helps where a tensor does not fit.
  public init(record: Record, place: String, advice: String? = nil) {
    self.record = record
    self.place = place
    self.advice = advice
  }

  /// What is wrong with a tensor. - Parameter advice: instead of the record's.
  public func failure(
    _ name: String, _ problem: String, expected: String? = nil, found: String? = nil,
    advice: String? = nil
  ) -> Failure {
    Failure(
      .badData, problem, at: "\(place), tensor \(name)", expected: expected, found: found,
      advice: advice ?? self.advice)
  }

  /// Throws 65 when it is missing or has another shape.
  /// - Parameter shape: nil in it stands for any size; nil for any shape.
  public func tensor(_ name: String, _ shape: [Int?]? = nil) throws -> RawTensor {
    guard let tensor = record.tensors[name] else {
      throw failure(
        name, "a tensor is missing",
        found: record.tensors.keys.sorted().joined(separator: ", "))
    }
    guard let shape else { return tensor }
    guard tensor.shape.count == shape.count,
      zip(tensor.shape, shape).allSatisfy({ $1 == nil || $0 == $1 })
    else {
      let expected = shape.map { $0.map(String.init) ?? "any" }.joined(separator: ", ")
      throw failure(
        name, "a tensor has another shape", expected: "[\(expected)]", found: "\(tensor.shape)")
    }
    return tensor
  }

  /// Throws 65 as `tensor` does, and for numbers that are no integers.
  public func integers(
    _ name: String, _ shape: [Int?]
  ) throws -> (values: [Int32], shape: [Int]) {
    let tensor = try tensor(name, shape)
    do {
      return (try tensor.int32s(), tensor.shape)
    } catch let problem as Failure {
      throw failure(name, problem.what, expected: problem.expected, found: problem.found)
    }
  }
}

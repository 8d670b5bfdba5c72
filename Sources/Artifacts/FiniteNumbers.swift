import Failures
import Kernels

extension Failure {
  /// What a number that is infinite or no number is refused with, before it enters a weight or an
  /// artifact.
  /// - Parameters:
  ///   - what: what the number is, as "the loss"
  ///   - found: the number, or where it stands
  public static func notFinite(
    _ what: String, at place: String?, found: String, advice: String
  ) -> Failure {
    Failure(.badData, "\(what) is not finite", at: place, found: found, advice: advice)
  }
}

extension RawTensor {
  /// The place of the first value that is infinite or no number; nil where all are sound.
  public var firstNonFinite: Int? {
    bytes.withUnsafeBytes { raw in
      raw.baseAddress.flatMap { Kernels.firstNonFinite($0, type, count) }
    }
  }
}

extension Record {
  /// Refuses values that are infinite or no numbers. Throws 65 naming the tensor and its row.
  public func requireFinite(at place: String, advice: String) throws {
    for name in tensors.keys.sorted(by: naturallyPrecedes) {
      guard let tensor = tensors[name], let first = tensor.firstNonFinite else { continue }
      throw Failure.notFinite(
        "a value", at: "\(place), tensor \(name)", found: tensor.nameElement(first),
        advice: advice)
    }
  }
}

extension RawTensor {
  /// An element for messages: nan at row 3, column 17.
  func nameElement(_ index: Int) -> String {
    let value =
      (try? RawTensor(
        type: type, shape: [1], bytes: Array(bytes[index * type.size..<(index + 1) * type.size])
      ).floats().first) ?? .nan
    let width = shape.dropFirst().reduce(1, *)
    return shape.count > 1
      ? "\(value) at row \(index / width), column \(index % width)" : "\(value) at \(index)"
  }
}

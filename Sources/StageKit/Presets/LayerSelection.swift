import Failures

/// Which decoder blocks' outputs are target layers, counted from 1.
public enum LayerSelection: Sendable, Equatable {
  case list([Int])
  /// first, first + step, … up to the backbone's last layer: the paper's every fourth from the
  /// second.
  case every(first: Int, step: Int)

  /// The target layers of a backbone of `count` layers, in rising order.
  ///
  /// Throws 78 when a layer lies outside 1...count or none is left.
  public func layers(of count: Int, backbone: String) throws -> [Int] {
    let layers: [Int]
    switch self {
    case .list(let list): layers = list
    case .every(let first, let step): layers = Array(stride(from: first, through: count, by: step))
    }
    guard !layers.isEmpty else {
      throw Failure(
        .badPreset, "no target layer is left for \(backbone)",
        expected: "a first layer of at most \(count)", found: "\(self)")
    }
    for layer in layers where !(1...count).contains(layer) {
      throw Failure(
        .badPreset, "layer \(layer) does not exist in \(backbone)",
        expected: "layers 1 to \(count)", found: "\(self)",
        advice: "Set extract.teacher_layers and extract.student_layers of the preset, or --layers.")
    }
    return layers
  }

  /// Parses `2,6,10` or `2:4` (first and step), the form of `--layers`.
  public init(parsing text: String) throws {
    let refusal = Failure(
      .usage, "--layers cannot be read",
      expected: "layers in rising order as in 2,6,10, or 2:4 "
        + "for every fourth from the second", found: text)
    if text.contains(":") {
      let parts = text.split(separator: ":", omittingEmptySubsequences: false).map { Int($0) }
      guard parts.count == 2, let first = parts[0], let step = parts[1], first > 0, step > 0 else {
        throw refusal
      }
      self = .every(first: first, step: step)
      return
    }
    let parts = text.split(separator: ",", omittingEmptySubsequences: false).map {
      Int($0.filter { $0 != " " })
    }
    let layers = parts.compactMap { $0 }
    guard layers.count == parts.count, layers.allSatisfy({ $0 > 0 }),
      zip(layers, layers.dropFirst()).allSatisfy({ $0 < $1 })
    else { throw refusal }
    self = .list(layers)
  }

  var setting: SettingValue {
    switch self {
    case .list(let layers): .list(layers.map { .int($0) })
    case .every(let first, let step):
      .object([("first", .int(first)), ("every", .int(step))])
    }
  }
}

extension LayerSelection: CustomStringConvertible {
  public var description: String {
    switch self {
    case .list(let layers): layers.map(String.init).joined(separator: ",")
    case .every(let first, let step): "every \(step). layer from \(first)"
    }
  }
}

import Artifacts

/// A measured curve: y over x, x ascending.
public struct Curve: Sendable, Equatable {
  public var label: String
  public var points: [(x: Double, y: Double)]

  public init(_ label: String, _ points: [(x: Double, y: Double)]) {
    self.label = label
    self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
  }

  public static func == (left: Curve, right: Curve) -> Bool {
    left.label == right.label && left.points.map(\.x) == right.points.map(\.x)
      && left.points.map(\.y) == right.points.map(\.y)
  }

  /// The curve with at most `count` points: each the mean of as many neighbours.
  public func binned(_ count: Int) -> Curve {
    guard count > 0, points.count > count else { return self }
    var binned: [(x: Double, y: Double)] = []
    for bin in 0..<count {
      let part = points[bin * points.count / count..<(bin + 1) * points.count / count]
      let size = Double(part.count)
      binned.append((part.reduce(0) { $0 + $1.x } / size, part.reduce(0) { $0 + $1.y } / size))
    }
    return Curve(label, binned)
  }

  /// The mean over the points up to `share` of the curve, as far back as a twentieth of it.
  func mean(upTo share: Double) -> Double? {
    let end = min(points.count, max(1, Int((share * Double(points.count)).rounded())))
    let start = max(0, min(end - 1, end - points.count / 20))
    guard start < end else { return nil }
    return points[start..<end].reduce(0) { $0 + $1.y } / Double(end - start)
  }
}

/// Verbalization loss by target layer over training (the paper's appendix B).
public struct VerbalizationCurves: Sendable {
  /// By layer, ascending; x the step, y the cross-entropy in nats.
  public var layers: [(layer: Int, curve: Curve)]

  /// The shares of training that the paper's table gives.
  public static let shares = [0.1, 0.3, 0.5, 0.7, 0.9, 1.0]

  /// From lines {"step", "layer", "loss"}; nil when there is none.
  public init?(_ lines: [JSON]) {
    var byLayer: [Int: [(x: Double, y: Double)]] = [:]
    for line in lines {
      guard let step = line["step"]?.asInt, let layer = line["layer"]?.asInt,
        let loss = line["loss"]?.asDouble
      else { continue }
      byLayer[layer, default: []].append((Double(step + 1), loss))
    }
    guard !byLayer.isEmpty else { return nil }
    layers = byLayer.sorted { $0.key < $1.key }.map { layer, points in
      (layer, Curve("layer \(layer)", points.sorted { $0.x < $1.x }))
    }
  }

  /// A row per layer: the mean loss over the steps before each of the shares.
  public var table: [(layer: Int, losses: [Double])] {
    layers.map { layer, curve in
      (layer, VerbalizationCurves.shares.compactMap { curve.mean(upTo: $0) })
    }
  }

  /// Whether the loss at the end falls from every layer to the next deeper one.
  public var fallsWithDepth: Bool {
    let ends = layers.compactMap { $0.curve.mean(upTo: 1) }
    return zip(ends, ends.dropFirst()).allSatisfy { $0 > $1 }
  }
}

/// The terms of the interaction's loss over steps.
public struct InteractionCurves: Sendable {
  public var last: Curve
  /// One for each student target layer, shallow to deep; none where only the last layer is taught.
  public var intermediate: [Curve]

  /// From lines {"step", "last", "intermediate"}; nil when there is none.
  public init?(_ lines: [JSON], studentLayers: [Int]) {
    var last: [(x: Double, y: Double)] = []
    var terms: [[(x: Double, y: Double)]] = []
    for line in lines {
      guard let step = line["step"]?.asInt.map({ Double($0 + 1) }) else { continue }
      if let value = line["last"]?.asDouble { last.append((step, value)) }
      for (i, value) in (line["intermediate"]?.asArray ?? []).enumerated() {
        if i == terms.count { terms.append([]) }
        if let value = value.asDouble { terms[i].append((step, value)) }
      }
    }
    // A last-layer run writes zeros for terms that it does not have.
    terms = terms.filter { $0.contains { $0.y != 0 } }
    guard !last.isEmpty || !terms.isEmpty else { return nil }
    self.last = Curve("last layer", last)
    intermediate = terms.enumerated().map { i, points in
      Curve("layer \(i < studentLayers.count ? studentLayers[i] : i + 1)", points)
    }
  }
}

extension Curve {
  /// `loss` over steps, those before this stage counted too; nil when there is none.
  init?(loss lines: [JSON], label: String, after offset: Int) {
    let points = lines.compactMap { line -> (x: Double, y: Double)? in
      guard let step = line["step"]?.asInt, let loss = line["loss"]?.asDouble else { return nil }
      return (Double(offset + step + 1), loss)
    }
    if points.isEmpty { return nil }
    self.init(label, points)
  }
}

import Artifacts

/// A measured curve: y over x, x ascending.
public struct Curve: Sendable, Equatable {
  public var label: String
  public var points: [(x: Double, y: Double)]
  /// Whose it is.
  var tone: Tone

  init(_ label: String, _ points: [(x: Double, y: Double)], tone: Tone = .other) {
    self.label = label
    self.tone = tone
    self.points = points.filter { $0.x.isFinite && $0.y.isFinite }
  }

  public static func == (left: Curve, right: Curve) -> Bool {
    left.label == right.label && left.tone == right.tone
      && left.points.map(\.x) == right.points.map(\.x)
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
    return Curve(label, binned, tone: tone)
  }

  /// The means over the first and the last tenth of the points; nil without points.
  var ends: (start: Double, end: Double)? {
    guard !points.isEmpty else { return nil }
    let tenth = max(1, points.count / 10)
    func mean(_ part: ArraySlice<(x: Double, y: Double)>) -> Double {
      part.reduce(0) { $0 + $1.y } / Double(part.count)
    }
    return (mean(points.prefix(tenth)), mean(points.suffix(tenth)))
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
  init?(_ lines: [JSON], tone: Tone = .other) {
    var byLayer: [Int: [(x: Double, y: Double)]] = [:]
    for line in lines {
      guard let step = line["step"]?.asInt, let layer = line["layer"]?.asInt,
        let loss = line["loss"]?.asDouble
      else { continue }
      byLayer[layer, default: []].append((Double(step) + 1, loss))
    }
    guard !byLayer.isEmpty else { return nil }
    layers = byLayer.sorted { $0.key < $1.key }.map { layer, points in
      (layer, Curve("layer \(layer)", points.sorted { $0.x < $1.x }, tone: tone))
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

extension Curve {
  /// `loss` over steps, those before this stage counted too; nil when there is none.
  init?(loss lines: [JSON], label: String, tone: Tone, after offset: Int) {
    let points = lines.compactMap { line -> (x: Double, y: Double)? in
      guard let step = line["step"]?.asInt, let loss = line["loss"]?.asDouble else { return nil }
      return (Double(offset) + Double(step) + 1, loss)
    }
    if points.isEmpty { return nil }
    self.init(label, points, tone: tone)
  }
}

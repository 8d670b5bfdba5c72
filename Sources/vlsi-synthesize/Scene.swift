/// What an object is.
enum Shape: String, CaseIterable, Sendable {
  case circle, square, triangle, cross, star

  var plural: String { self == .cross ? "crosses" : rawValue + "s" }
}

enum Colour: String, CaseIterable, Sendable {
  case red, green, blue, yellow, purple, white
}

enum Operator: String, CaseIterable, Sendable {
  case plus, minus
}

/// What lies in one cell of the 4 × 4 grid.
enum Content: Equatable, Sendable {
  case object(Shape, Colour)
  /// A handwritten digit: its value and the number of its scan.
  case digit(Int, scan: Int)
  case sign(Operator)
  /// A piece of a bar: the bar of a column fills whole cells from the bottom.
  case bar(Colour)

  /// Two contents look alike (noise and jitter aside) exactly when their descriptions are equal.
  var description: String {
    switch self {
    case .object(let shape, let colour): "\(colour.rawValue) \(shape.rawValue)"
    case .digit(let value, let scan): "digit \(value) of scan \(scan)"
    case .sign(let sign): sign.rawValue
    case .bar(let colour): "\(colour.rawValue) bar"
    }
  }
}

/// The kinds of scene; each allows the questions of `Questions.swift`.
enum SceneKind: String, CaseIterable, Sendable {
  /// Two to four objects, no two of one shape or one colour.
  case objects
  /// Two colours in unequal numbers.
  case crowd
  /// Equal objects and one that differs.
  case odd
  /// Four bars.
  case chart
  /// One handwritten digit.
  case digit
  /// Two digits with a sign between them.
  case arithmetic
  /// Two or three different digits.
  case digits
  /// Every kind of content, for the dense labels of pretraining only.
  case dense
}

/// A scene: the content of each of its 16 cells, in raster order.
struct Scene: Sendable {
  static let side = 4

  var kind: SceneKind
  var cells: [Content?] = Array(repeating: nil, count: side * side)

  /// The scene's meaning: everything of it but jitter, shades and noise.
  var description: String { cells.map { $0?.description ?? "-" }.joined(separator: "|") }

  /// The occupied cells in raster order.
  var occupied: [(cell: Int, content: Content)] {
    cells.enumerated().compactMap { cell, content in content.map { (cell, $0) } }
  }
}

/// The parts of the data set. `train` and the pretraining ones draw from the same pool of scenes.
enum Split: String, CaseIterable, Sendable {
  case train, test, validation, pretrain
  /// Comes with `pretrain`: scenes of few objects, and many questions on where and what they are.
  case lookup = "pretrain-lookup"

  /// Those that a data set is asked for by name.
  static let named: [Split] = [.train, .test, .validation, .pretrain]

  /// Whether it teaches random weights: right answers, and as many questions as a scene allows.
  var isPretraining: Bool { self == .pretrain || self == .lookup }

  /// Which of the three disjoint pools of scenes a split takes its scenes from.
  var pool: Pool {
    switch self {
    case .train, .pretrain, .lookup: .training
    case .test: .test
    case .validation: .validation
    }
  }
}

/// The pool that a scene belongs to is a function of the scene's meaning alone, whatever the seed:
/// so no scene for training is ever one for testing, and no scan of a digit either.
enum Pool: Sendable {
  case training, validation, test

  /// Tests get a tenth of all scenes, validation a twentieth.
  init(scene: Scene) {
    switch Generator.hash("scene \(scene.description)") % 20 {
    case 0, 1: self = .test
    case 2: self = .validation
    default: self = .training
    }
  }

  /// Of the 1,797 scans, a fifth is for tests and a tenth for validation.
  init(scan: Int) {
    switch Generator.hash("scan \(scan)") % 10 {
    case 0, 1: self = .test
    case 2: self = .validation
    default: self = .training
    }
  }
}

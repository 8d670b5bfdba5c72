/// Random scenes of each kind.
struct SceneMaker: Sendable {
  let scans: Scans

  /// How often each kind occurs among the images of a split. In training, tasks come out about
  /// even. To look an object up by its looks is what random weights learn last; pretraining gives
  /// it weight.
  private func mixture(_ split: Split) -> [(kind: SceneKind, weight: Int)] {
    switch split {
    case .pretrain:
      [
        (.objects, 36), (.crowd, 20), (.odd, 12), (.chart, 7), (.digit, 5), (.arithmetic, 10),
        (.digits, 8),
      ]
    case .lookup:
      [
        (.objects, 60), (.crowd, 12), (.odd, 8), (.chart, 5), (.digit, 8), (.arithmetic, 6),
        (.digits, 5),
      ]
    case .train, .test, .validation:
      [
        (.objects, 24), (.crowd, 18), (.odd, 15), (.chart, 11), (.digit, 6), (.arithmetic, 16),
        (.digits, 10),
      ]
    }
  }

  /// How many objects a scene of objects has: a single one is where looking up begins.
  private func objects(_ split: Split) -> ClosedRange<Int> {
    switch split {
    case .pretrain: 1...4
    case .lookup: 1...3
    case .train, .test, .validation: 2...4
    }
  }

  /// The scene number `index` of `split`: drawn again until it falls into the split's pool.
  func scene(
    _ index: Int, of split: Split, kind: SceneKind? = nil, seed: UInt64
  ) -> (scene: Scene, generator: Generator) {
    let key = Generator.hash(split.rawValue + (kind?.rawValue ?? ""))
    var generator = Generator(seed, key, UInt64(index))
    let mixture = mixture(split)
    let kind = kind ?? mixture[generator.weighted(mixture.map(\.weight))].kind
    while true {
      let scene = make(kind, of: split, &generator)
      if Pool(scene: scene) == split.pool { return (scene, generator) }
    }
  }

  private func make(_ kind: SceneKind, of split: Split, _ generator: inout Generator) -> Scene {
    var scene = Scene(kind: kind)
    let pool = split.pool
    let places = generator.shuffled(Array(0..<Scene.side * Scene.side))
    switch kind {
    case .objects:
      let count = generator.within(objects(split))
      let shapes = generator.draw(count, of: Shape.allCases)
      let colours = generator.draw(count, of: Colour.allCases)
      for index in 0..<count { scene.cells[places[index]] = .object(shapes[index], colours[index]) }
    case .crowd:
      let colours = generator.draw(2, of: Colour.allCases)
      let shapes = generator.draw(2, of: Shape.allCases)
      let counts = generator.pick(SceneMaker.unequalCounts)
      for index in 0..<counts.0 + counts.1 {
        let colour = index < counts.0 ? colours[0] : colours[1]
        scene.cells[places[index]] = .object(generator.pick(shapes), colour)
      }
    case .odd:
      let shapes = generator.draw(2, of: Shape.allCases)
      let colours = generator.draw(2, of: Colour.allCases)
      let differs = generator.below(4)  // in shape, in colour, in both (twice as often)
      let odd = Content.object(differs == 1 ? shapes[0] : shapes[1], colours[differs == 0 ? 0 : 1])
      for index in 1...generator.within(3...5) {
        scene.cells[places[index]] = .object(shapes[0], colours[0])
      }
      scene.cells[places[0]] = odd
    case .chart:
      let colours = generator.draw(Scene.side, of: Colour.allCases)
      for column in 0..<Scene.side {
        fill(&scene, column, colours[column], generator.within(1...4))
      }
    case .digit:
      scene.cells[places[0]] = scans.draw(generator.below(10), from: pool, &generator)
    case .arithmetic:
      let sign = generator.pick(Operator.allCases)
      var (first, second) = (generator.within(0...5), generator.within(0...5))
      if sign == .minus, first < second { swap(&first, &second) }
      let cell = generator.below(Scene.side) * Scene.side + generator.below(2)
      scene.cells[cell] = scans.draw(first, from: pool, &generator)
      scene.cells[cell + 1] = .sign(sign)
      scene.cells[cell + 2] = scans.draw(second, from: pool, &generator)
    case .digits:
      for (index, digit) in generator.draw(generator.within(2...3), of: Array(0...9)).enumerated() {
        scene.cells[places[index]] = scans.draw(digit, from: pool, &generator)
      }
    case .dense:
      makeDense(&scene, pool, &generator)
    }
    return scene
  }

  /// Numbers from one to five that differ by two or more: at this size, four against five is a
  /// question of eyesight.
  private static let unequalCounts: [(Int, Int)] = (1...5).flatMap { first in
    (1...5).compactMap { second in abs(first - second) >= 2 ? (first, second) : nil }
  }

  private func fill(_ scene: inout Scene, _ column: Int, _ colour: Colour, _ height: Int) {
    for row in Scene.side - height..<Scene.side {
      scene.cells[row * Scene.side + column] = .bar(colour)
    }
  }

  private func makeDense(_ scene: inout Scene, _ pool: Pool, _ generator: inout Generator) {
    if generator.chance(0.1) {
      let colours = generator.draw(Scene.side, of: Colour.allCases)
      for column in 0..<Scene.side {
        fill(&scene, column, colours[column], generator.within(0...4))
      }
      return
    }
    for cell in scene.cells.indices {
      switch generator.below(20) {
      case 0..<8:
        scene.cells[cell] = .object(
          generator.pick(Shape.allCases), generator.pick(Colour.allCases))
      case 8..<16: scene.cells[cell] = scans.draw(generator.below(10), from: pool, &generator)
      case 16: scene.cells[cell] = .sign(generator.pick(Operator.allCases))
      default: break
      }
    }
  }
}

import StageKit

/// An image of the data set with what is asked about it.
struct Item: Sendable {
  /// Unique over all splits: `train-00012`.
  var id: String
  /// Relative to the data set's folder.
  var image: String
  var scene: Scene
  var questions: [Question]
  /// For each question whether its answer is given wrong, as one of `Question.wrong`.
  var given: [String]
  /// The generator that paints it.
  var generator: Generator

  var wrongAnswers: Int { zip(questions, given).count { $0.answer != $1 } }
}

/// What the data set says, before anything is painted. A pure function of settings and seed.
struct DataSetMaker: Sendable {
  let scans: Scans
  let settings: SynthesizeSettings
  let seed: UInt64

  /// Most questions on an image of pretraining: all share the image's tokens, so that a question
  /// more costs little.
  static let pretrainQuestions = 8

  private var maker: SceneMaker { SceneMaker(scans: scans) }

  /// The items of a split. Only `train` has wrong answers.
  func items(_ split: Split) -> [Item] {
    switch split {
    case .train:
      var items = questioned(split, settings.trainImages)
      spoil(&items)
      return items
    case .pretrain: return questioned(split, settings.pretrainImages)
    case .lookup: return questioned(split, settings.pretrainLookupImages)
    case .test: return balanced(split, settings.testQuestions)
    case .validation: return balanced(split, settings.validationQuestions)
    }
  }

  /// Scenes of every kind of content, for dense labels.
  func denseItems() -> [Item] {
    (0..<settings.pretrainDenseImages).map { index in
      let (scene, generator) = maker.scene(index, of: .pretrain, kind: .dense, seed: seed)
      return item("dense", index, scene, [], generator)
    }
  }

  /// Guesses by the right answers of training scenes.
  func guessing() -> Guessing {
    Guessing(questioned(.train, Guessing.images))
  }

  /// The queries on a dense item: its contents and its colours always, its rows and its columns by
  /// turns.
  func queries(_ index: Int) -> [DenseQuery] {
    [.cell, .colour, index % 2 == 0 ? .row : .column]
  }

  private func questioned(_ split: Split, _ images: Int) -> [Item] {
    (0..<images).map { index in
      var (scene, generator) = maker.scene(index, of: split, seed: seed)
      var questions = scene.questions(
        split.isPretraining ? DataSetMaker.pretrainQuestions : settings.questionsPerImage,
        exhaustive: split.isPretraining, &generator)
      if split.isPretraining {
        // Tens of thousands of items need no wrong answers in memory.
        for index in questions.indices { questions[index].wrong = [] }
      }
      return item(split.rawValue, index, scene, questions, generator)
    }
  }

  /// As many questions of one task as of another (one more for the first tasks where the number
  /// does not divide), no scene twice.
  private func balanced(_ split: Split, _ count: Int) -> [Item] {
    var items: [Item] = []
    var seen: Set<String> = []
    let tasks = Task.allCases
    var wanted: [Task: Int] = [:]
    for (index, task) in tasks.enumerated() {
      wanted[task] = count / tasks.count + (index < count % tasks.count ? 1 : 0)
    }
    var attempt = 0
    while let lacking = tasks.filter({ wanted[$0, default: 0] > 0 }).max(by: {
      wanted[$0, default: 0] < wanted[$1, default: 0]
    }) {
      var (scene, generator) = maker.scene(
        attempt, of: split, kind: lacking.kind, seed: seed)
      attempt += 1
      guard seen.insert(scene.description).inserted else { continue }
      let tasksLeft = Set(tasks.filter { wanted[$0, default: 0] > 0 })
      var questions: [Question] = []
      for question in scene.questions(.max, of: tasksLeft, &generator)
      where questions.count < settings.questionsPerImage && wanted[question.task, default: 0] > 0 {
        wanted[question.task, default: 0] -= 1
        questions.append(question)
      }
      if !questions.isEmpty {
        items.append(item(split.rawValue, items.count, scene, questions, generator))
      }
    }
    return items
  }

  private func item(
    _ name: String, _ index: Int, _ scene: Scene, _ questions: [Question], _ generator: Generator
  ) -> Item {
    let digits = String(index)
    let number = String(repeating: "0", count: max(0, 5 - digits.count)) + digits
    return Item(
      id: "\(name)-\(number)", image: "images/\(name)/\(number).png", scene: scene,
      questions: questions, given: questions.map(\.answer), generator: generator)
  }

  /// Gives exactly the asked share of all answers wrong: the questions that a hash of the seed
  /// ranks first.
  private func spoil(_ items: inout [Item]) {
    var ranked: [(rank: UInt64, item: Int, question: Int)] = []
    for (index, item) in items.enumerated() {
      for question in item.questions.indices {
        var generator = Generator(
          seed, Generator.hash("wrong"), UInt64(index), UInt64(question))
        ranked.append((generator.next(), index, question))
      }
    }
    ranked.sort { $0 < $1 }
    let count = Int((Double(ranked.count) * settings.wrongAnswerShare).rounded())
    for (rank, item, question) in ranked.prefix(count) {
      var generator = Generator(rank)
      items[item].given[question] = generator.pick(items[item].questions[question].wrong)
    }
  }
}

extension Task {
  /// The kind of scene that serves this task best.
  var kind: SceneKind {
    switch self {
    case .colour, .shape, .existence, .place, .side: .objects
    case .count, .comparison: .crowd
    case .chart: .chart
    case .digit: .digit
    case .arithmetic: .arithmetic
    case .odd: .odd
    case .largest: .digits
    }
  }
}

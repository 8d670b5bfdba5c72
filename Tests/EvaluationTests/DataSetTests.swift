import Failures
import Foundation
import StageKit
import Testing

@testable import Evaluation
@testable import vlsi_synthesize

@Suite("The embedded data set keeps its promises")
struct DataSetTests {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().path
  static let scans = Result { try Scans(contentsOf: root + "/data/digits/digits.csv") }

  private func maker(
    seed: UInt64 = 0, wrong: Double = 0.3, images: Int = 600
  ) throws -> DataSetMaker {
    var settings = SynthesizeSettings()
    settings.trainImages = images
    settings.pretrainImages = images
    settings.pretrainLookupImages = images
    settings.pretrainDenseImages = 100
    settings.testQuestions = 240
    settings.validationQuestions = 125
    settings.wrongAnswerShare = wrong
    return DataSetMaker(scans: try Self.scans.get(), settings: settings, seed: seed)
  }

  @Test("No scene and no scan is in two pools, whatever the seeds")
  func splitsNeverCoincide() throws {
    var pools: [String: Set<String>] = [:]
    var scans: [String: Set<Int>] = [:]
    for seed in [0, 1, 2] as [UInt64] {
      let maker = try maker(seed: seed)
      let parts: [(String, [Item])] = [
        (
          "training",
          maker.items(.train) + maker.items(.pretrain) + maker.items(.lookup)
            + maker.denseItems()
        ),
        ("test", maker.items(.test)), ("validation", maker.items(.validation)),
      ]
      for (name, items) in parts {
        for item in items {
          pools[name, default: []].insert(item.scene.description)
          for case .digit(_, let scan) in item.scene.occupied.map(\.content) {
            scans[name, default: []].insert(scan)
          }
        }
      }
    }
    for (one, other) in [("training", "test"), ("training", "validation"), ("test", "validation")] {
      #expect(pools[one, default: []].isDisjoint(with: pools[other, default: []]))
      #expect(scans[one, default: []].isDisjoint(with: scans[other, default: []]))
    }
    #expect(pools["test", default: []].count > 100)
    #expect(scans["test", default: []].count > 50)
  }

  @Test("The same seed gives the same bytes, another seed others")
  func reproducible() throws {
    func bytes(_ seed: UInt64) throws -> [UInt8] {
      let maker = try maker(seed: seed, images: 40)
      let painter = Painter(scans: maker.scans)
      let items = maker.items(.train)
      var bytes = Array(DataSetText.conversations(items).utf8)
      bytes += Array(DataSetText.table(maker.items(.test)).utf8)
      for item in items {
        var generator = item.generator
        bytes += PlainPNG.encode(
          painter.paint(item.scene, varied: true, &generator), width: 64, height: 64)
      }
      return bytes
    }
    let first = try bytes(5)
    #expect(try bytes(5) == first)
    #expect(try bytes(6) != first)
  }

  @Test("A larger data set begins with the smaller one")
  func prefix() throws {
    let small = try maker(wrong: 0, images: 50).items(.train)
    let large = try maker(wrong: 0, images: 90).items(.train)
    #expect(DataSetText.conversations(Array(large.prefix(50))) == DataSetText.conversations(small))
  }

  @Test("The share of wrong answers is what was asked, in train alone", arguments: [0, 0.3, 1])
  func wrongShare(share: Double) throws {
    let maker = try maker(wrong: share)
    let train = maker.items(.train)
    let questions = train.reduce(0) { $0 + $1.questions.count }
    let wrong = train.reduce(0) { $0 + $1.wrongAnswers }
    #expect(wrong == Int((Double(questions) * share).rounded()))
    for split in [Split.test, .validation, .pretrain] {
      #expect(maker.items(split).allSatisfy { $0.wrongAnswers == 0 })
    }
    for item in train {
      for (question, given) in zip(item.questions, item.given) {
        #expect(given == question.answer || question.wrong.contains(given))
        #expect(!question.wrong.contains(question.answer) && !question.wrong.isEmpty)
      }
    }
  }

  @Test("Tests are balanced over at least ten tasks, and answers are not to be guessed")
  func balanced() throws {
    let maker = try maker()
    #expect(Task.allCases.count >= 10)
    for (split, count) in [(Split.test, 240), (.validation, 125)] {
      let questions = maker.items(split).flatMap(\.questions)
      #expect(questions.count == count)
      for task in Task.allCases {
        let ofTask = questions.count { $0.task == task }
        #expect((count / 12...count / 12 + 1).contains(ofTask))
      }
    }
    // The best guess from the question alone: its most frequent answer.
    var answers: [String: [String: Int]] = [:]
    for question in maker.items(.pretrain).flatMap(\.questions) {
      answers[question.text, default: [:]][question.answer, default: 0] += 1
    }
    let guesses = answers.values.filter { $0.values.reduce(0, +) >= 30 }
    let asked = guesses.reduce(0) { $0 + $1.values.reduce(0, +) }
    let guessed = guesses.reduce(0) { $0 + ($1.values.max() ?? 0) }
    #expect(asked > 0 && Double(guessed) / Double(asked) < 0.6)
  }

  @Test("Answers agree with the scene: counted again by another road")
  func answersAreRight() throws {
    for item in try maker(wrong: 0).items(.train) {
      let contents = item.scene.occupied.map(\.content.description)
      for question in item.questions {
        let words = question.answer.split(separator: " ").map(String.init)
        switch question.task {
        case .count:
          let named = words[3]
          let colours = contents.count { $0.hasPrefix(named + " ") }
          let shapes =
            Shape.allCases.first { $0.plural == named }
            .map { shape in contents.count { $0.hasSuffix(" " + shape.rawValue) } } ?? colours
          #expect(words.last == numberWords[shapes])
        case .existence:
          let name = words.suffix(2).joined(separator: " ")
          #expect((words[0] == "yes") == contents.contains(name))
        case .odd:
          #expect(contents.count { $0 == words.suffix(2).joined(separator: " ") } == 1)
          #expect(Set(contents).count == 2)
        case .colour: #expect(contents.contains("\(words[3]) \(words[1])"))
        case .shape: #expect(contents.contains("\(words[1]) \(words[5])"))
        default: break
        }
      }
    }
  }

  @Test("Dense labels have a word for each of the sixteen cells")
  func denseLabels() throws {
    let maker = try maker()
    let text = DataSetText.denseLabels(maker.denseItems(), queries: maker.queries)
    let entries = try #require(
      try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [[String: Any]])
    #expect(entries.count == 300)
    for entry in entries { #expect((entry["visual_labels"] as? [String])?.count == 16) }
  }

  @Test("Every word is one of the closed list, and the list is one that a tiny model can learn")
  func words() throws {
    let maker = try maker()
    var words: Set<String> = []
    for split in Split.allCases {
      for question in maker.items(split).flatMap(\.questions) {
        for text in [question.text, question.answer] {
          words.formUnion(
            text.split(whereSeparator: { " ?,".contains($0) }).map(String.init))
        }
        #expect(question.answer.split(separator: " ").count <= 9)
      }
    }
    #expect((80...130).contains(words.count))
    let tokenizer = try JSONSerialization.jsonObject(
      with: Data(contentsOf: URL(fileURLWithPath: Self.root + "/data/tokenizer/tokenizer.json")))
    let model = (tokenizer as? [String: Any])?["model"] as? [String: Any]
    let vocabulary = try #require(model?["vocab"] as? [String: Int])
    for word in words {
      #expect(vocabulary["Ġ" + word] != nil || vocabulary[word] != nil, "\(word)")
    }
  }

  @Test("The benchmark that is written is one that is read")
  func benchmark() throws {
    let items = try maker().items(.test)
    let questions = try Benchmark.parse(Array(DataSetText.table(items).utf8), place: "test.tsv")
      .map { try $0.result.get() }
    #expect(Set(questions.map(\.category)).count == Task.allCases.count)
    let rules = Dictionary(grouping: questions) { $0.columns["rule"] ?? "" }
    #expect(Set(rules.keys) == ["choice", "yes_no", "exact", "number"])
    #expect(rules["exact"]?.contains { $0.accepted.count == 3 } == true)
    let letters = rules["choice", default: []].map(\.answer)
    #expect(Set(letters) == ["A", "B"])
    for (row, question) in zip(questions, items.flatMap(\.questions)) {
      #expect(row.columns["rule"] == Prediction("", for: row).rule)
      #expect(Prediction(question.answer, for: row).isCorrect, "\(row)")
      for wrong in question.wrong {
        #expect(!Prediction(wrong, for: row).isCorrect, "\(wrong) \(row)")
      }
      #expect(!Prediction("", for: row).isCorrect)
    }
  }

  @Test("A file of scans that is none is refused")
  func badScans() throws {
    let path = NSTemporaryDirectory() + "scans-\(UUID().uuidString).csv"
    defer { try? FileManager.default.removeItem(atPath: path) }
    for text in ["1,2,3\n", String(repeating: "17,", count: 64) + "3\n", "", "\u{0}\n"] {
      try Data(text.utf8).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: Failure.self) { try Scans(contentsOf: path) }
      #expect(error?.code == .badData)
    }
    let error = #expect(throws: Failure.self) { try Scans(contentsOf: path + "x") }
    #expect(error?.code == .inputMissing)
  }
}

@testable import Evaluation
import Failures
import Testing

@testable import Reporting

@Suite("The table of ablations gives what the cells gave, and whether the order is the paper's")
struct AblationTableTests {
  static let list = """
    # a comment
    [losses] Which loss | MMB MMMU
    none | nothing | 10.0 - | align.last_loss=none
    ce   | labels  | 20.0 30.0 | align.last_loss=ce  target.form=vectors
    kl   | teacher | 20.0 31.0 |

    [steps] Which steps | MMB
    sft  | SFT alone | 1 | align.steps=0
    same | the method | 1.0 |
    """

  /// A hundred answers, of which the first `right` are.
  private func predictions(_ right: Int, of count: Int = 100) throws -> [Prediction] {
    let text = (0..<count).map { number in
      """
      {"benchmark":"b","kind":"benchmark","index":"\(number)","question":"q","answer":"a",\
      "prediction":"b","rule":"exact","score":\(number < right ? 1 : 0),"picture":"\(number)",\
      "columns":{"category":"t"}}
      """
    }.joined(separator: "\n")
    return try Predictions.decode(Array(text.utf8), place: "test")
  }

  @Test("A list is read with its comparisons, figures and settings")
  func reading() throws {
    let list = try AblationList(AblationTableTests.list, place: "list")
    #expect(list.comparisons.map(\.name) == ["losses", "steps"])
    #expect(list.comparisons[0].title == "Which loss")
    #expect(list.comparisons[0].benchmarks == ["MMB", "MMMU"])
    #expect(list.comparisons[0].cells[0].figures == [10, nil])
    #expect(list.comparisons[0].cells[1].settings == ["align.last_loss=ce", "target.form=vectors"])
    #expect(list.comparisons[0].cells[2].settings.isEmpty)
  }

  @Test(
    "What is no list is refused with its line",
    arguments: [
      ("a | b | 1 | c=d", "list:1: a cell before the first [comparison]"),
      ("[x] title", "list:1: not a comparison"),
      ("[x] t | A\na | b | 1", "list:2: not a cell"),
      ("[x] t | A B\na | b | 1 |", "list:2: not the paper's figures"),
      ("[x] t | A\na | b | nan |", "list:2: not the paper's figures"),
      ("[x] t | A\na | b | 1 |\na | b | 1 |", "list:3: the cell a stands twice"),
      ("# nothing", "list: a list without cells"),
    ])
  func refusing(text: String, message: String) {
    #expect {
      try AblationList(text, place: "list")
    } throws: {
      ($0 as? Failure)?.code == .badData && "\($0)".hasPrefix(message)
    }
  }

  @Test("Means, spreads, differences by seed and the order are those of the predictions")
  func whole() throws {
    let table = try AblationTable(
      AblationList(AblationTableTests.list, place: "list"),
      [
        ("none", "0", predictions(50)), ("none", "1", predictions(54)),
        ("ce", "0", predictions(40)), ("ce", "1", predictions(41)), ("ce", "2", predictions(99)),
        ("kl", "0", predictions(60)), ("kl", "1", predictions(64)), ("same", "1", predictions(64)),
      ])
    #expect(table.questions == 100)
    #expect(table.seeds == ["0", "1", "2"])
    let losses = table.comparisons[0]
    let none = try #require(losses.rows[0].difference)
    // 50 less 60 and 54 less 64: the same by both seeds, so without any error.
    #expect(abs(none.mean + 0.1) < 1e-12 && none.error < 1e-12)
    #expect(losses.rows[0].isClear)
    #expect(losses.rows[1].overSeeds?.values == [0.4, 0.41, 0.99])
    // The third seed has no partner.
    #expect(losses.rows[1].difference?.values.count == 2)
    #expect(losses.rows[2].isMethod && losses.rows[2].difference == nil)
    // Paper: none < ce (by MMB alone), none < kl, ce < kl. Here: ce < none < kl.
    #expect(losses.order.pairs == 3)
    #expect(losses.order.agreeing == 2)
    #expect(abs((losses.order.correlation ?? 0) - 1.0 / 3) < 1e-12)
    #expect(losses.order.clear == 2 && losses.order.clearAgreeing == 2)
    // Not run, and a tie of the paper's.
    #expect(table.notRun == ["sft"])
    #expect(table.comparisons[1].order.pairs == 0)
    #expect(table.comparisons[1].rows[1].isClear == false)
  }

  @Test("A list without the paper's figures compares with each comparison's last cell")
  func ownList() throws {
    let list = try AblationList(
      "[own] mine |\na | one | | align.steps=1\nb | two | | align.steps=2", place: "list")
    let table = try AblationTable(list, [("a", "0", predictions(30)), ("b", "0", predictions(50))])
    #expect(table.comparisons[0].rows.map(\.isMethod) == [false, true])
    #expect(abs((table.comparisons[0].rows[0].difference?.mean ?? 0) + 0.2) < 1e-12)
    #expect(table.text.contains("The paper has no figures of this."))
  }

  @Test("Text, Markdown and JSON name every cell, run or not")
  func showing() throws {
    let table = try AblationTable(
      AblationList(AblationTableTests.list, place: "list"),
      [("ce", "7", predictions(40)), ("kl", "7", predictions(60))])
    for text in [table.text, table.markdown] {
      for word in ["nothing", "not run", "−20.0", "one seed", "3 of 5 cells were not run"] {
        #expect(text.contains(word), "\(word)")
      }
      #expect(text.contains("1 of 1 pairs stand in the paper's order"))
      #expect(text.contains("none differs here by more than chance"))
    }
    #expect(table.text.split(separator: "\n").allSatisfy { $0.count <= 100 })
    let cells = table.json["comparisons"]?.asArray?.first?["cells"]?.asArray ?? []
    #expect(cells[1]["accuracy"]?["7"]?.asDouble == 0.4)
    #expect(cells[1]["spread"] == .null && cells[1]["clear"] == false)
    #expect(cells[0]["mean"] == .null && cells[0]["paper"] == [10.0, nil])
  }

  @Test("Cells that answered other questions are refused, naming the cell")
  func otherQuestions() throws {
    #expect {
      try AblationTable(
        AblationList(AblationTableTests.list, place: "list"),
        [("ce", "0", predictions(4)), ("kl", "3", predictions(4, of: 50))])
    } throws: {
      "\($0)".hasPrefix("cell kl, seed 3: two models did not answer the same questions")
    }
  }
}

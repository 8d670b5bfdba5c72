import Artifacts
import Foundation
import Testing

@testable import Reporting

@Suite("The page is whole by itself")
struct PageTests {
  @Test("A whole run gives every section, and nothing from outside the page")
  func whole() throws {
    let scratch = try ScratchRun()
    try scratch.made.makeAll()
    let report = try Report(path: scratch.path, title: "A <run> & more")
    let page = report.page
    for heading in [
      "Scores", "Verbalization", "Interaction", "Where layers match", "Supervised fine-tuning",
      "What each layer says", "Answers", "What it cost", "Settings and fingerprints",
    ] {
      #expect(page.contains("<h2>\(heading)"), "\(heading)")
    }
    let anchors = page.matches(of: /href="#([a-z]+)"/).map { String($0.output.1) }
    #expect(anchors.count == 9)
    for anchor in anchors { #expect(page.contains("<section id=\"\(anchor)\">"), "\(anchor)") }
    #expect(page.contains("KL(teacher\u{A0}‖\u{A0}student)"))
    // Every drawing has words for who does not see it.
    let drawings = page.components(separatedBy: "<svg ").dropFirst()
    #expect(!drawings.isEmpty)
    for drawing in drawings { #expect(drawing.prefix(200).contains("role=\"img\"><title>")) }
    #expect(report.gaps.isEmpty, "\(report.gaps)")
    #expect(page.contains("A &lt;run&gt; &amp; more"))
    #expect(page.contains("&lt;number&gt;"))
    #expect(!page.contains("<number>"))
    // Markup put into a string by mistake would be escaped and shown.
    #expect(!page.contains("HTML(text") && !page.contains("&lt;div") && !page.contains("&lt;t"))
    let isThere = true, hostile = "<b>"
    let markup: HTML = "\(isThere ? "<i>\(hostile)</i>" : "")\(isThere ? hostile : "")"
    #expect(markup.text == "<i>&lt;b&gt;</i>&lt;b&gt;")
    #expect(!page.contains("<script"))
    #expect(!page.contains("http://") && !page.contains("https://") && !page.contains("url("))
    #expect(page.contains("data:image/png;base64,"))
    #expect(XMLCheck().accepts(page))
    // The same run gives the same page.
    #expect(try Report(path: scratch.path, title: "A <run> & more").page == page)
  }

  @Test("Each layer's words are those that its states spell through the head")
  func predictions() throws {
    let scratch = try ScratchRun()
    try scratch.made.makePredictions()
    let predictions = LayerPredictions(try Run(path: scratch.path), count: 3)
    #expect(predictions.gaps.isEmpty, "\(predictions.gaps)")
    #expect(predictions.passages.map(\.sample) == [2, 6, 10])
    let passage = try #require(predictions.passages.first)
    #expect(passage.label == ["the", "circle", "is", "red", "■"])
    #expect(passage.question == "what colour is number 0?")
    #expect(passage.image != nil)
    #expect(
      passage.layers.map { "\($0.backbone) \($0.layer)" } == [
        "teacher 2", "teacher 3", "teacher 4", "teacher 5", "teacher last", "student 2",
        "student 3", "student last", "model 2", "model 3", "model last",
      ])
    #expect(passage.layers[0].words == ["the", "!", "!", "!", "!"])
    #expect(passage.layers[0].agrees == [true, false, false, false, false])
    #expect(passage.layers[4].words == passage.label)
  }

  @Test("Agreement with the label and with the teacher, before and after, is counted")
  func agreement() throws {
    let scratch = try ScratchRun()
    try scratch.made.makePredictions()
    let predictions = LayerPredictions(try Run(path: scratch.path), count: 0)
    #expect(predictions.passages.isEmpty)
    // Two answers of five words each in twelve samples.
    #expect(predictions.counted == (12, 120))
    let found = Dictionary(
      uniqueKeysWithValues: predictions.agreements.map { ("\($0.backbone) \($0.layer)", $0) })
    #expect(found.count == 11)
    // The teacher's five layers know the first one, two, … five of every five words.
    #expect(found["teacher 2"]?.withLabel == 0.2)
    #expect(found["teacher last"]?.withLabel == 1)
    #expect(found["teacher last"]?.withTeacher == 1)
    // The student's three: places 0, 3, 6, 9 of ten, then one and two more of each three.
    #expect(found["student 2"]?.withLabel == 0.4)
    #expect(found["student last"]?.withTeacher == 1)
    #expect(found["model 2"]?.withLabel == 1)
    #expect(found["teacher 3"]?.depth == 0.5)
    #expect(found["student last"]?.depth == 1)
  }

  @Test("Words are cut where an answer is long, rows where layers are many")
  func longAnswers() throws {
    let scratch = try ScratchRun()
    try scratch.made.makePredictions()
    var predictions = LayerPredictions(try Run(path: scratch.path), count: 1)
    let layer = try #require(predictions.passages.first?.layers.first)
    predictions.passages[0].layers = (0..<80).map { number in
      LayerPredictions.Layer(
        backbone: "teacher", layer: "\(number)", words: layer.words, agrees: layer.agrees)
    }
    #expect(LineChart.thinned(predictions.passages[0].layers, to: 8).map(\.layer).first == "0")
    #expect(LineChart.thinned(predictions.passages[0].layers, to: 8).map(\.layer).last == "79")
    #expect(LineChart.thinned([1, 2], to: 8) == [1, 2])
    #expect(Report.short(String(repeating: "x", count: 1000)).count == 401)
  }

  @Test("A long run of many layers gives a small page")
  func large() throws {
    let scratch = try ScratchRun()
    let teacher = (0..<20).map { 2 + 4 * $0 }, student = (0..<7).map { 2 + 4 * $0 }
    try scratch.made.makeLarge(steps: 2000, student: student, teacher: teacher)
    let report = try Report(path: scratch.path, title: "")
    let page = report.page
    #expect(report.gaps == ["what the layers say: no samples"])
    #expect(page.utf8.count < 400_000, "\(page.utf8.count)")
    #expect(page.contains("student layer 26, teacher layer 78"))
    #expect(XMLCheck().accepts(page))
  }

  @Test("What a run lacks is left out, and said")
  func gaps() throws {
    let scratch = try ScratchRun()
    try scratch.made.makePredictions(4)
    try Files.removeTree(scratch.path + "/features/teacher")
    try Files.removeTree(scratch.path + "/features/model")
    let report = try Report(path: scratch.path, title: "")
    #expect(report.title == "run")
    #expect(report.gaps.count == 2)
    #expect(report.gaps.first?.contains("teacher's layers") == true)
    #expect(report.gaps.last?.contains("distilled student's layers") == true)
    let page = report.page
    #expect(page.contains("Not on this page"))
    #expect(page.contains("No model was evaluated"))
    #expect(page.contains("What each layer says"))
    #expect(!page.contains("Where layers match"))
    #expect(XMLCheck().accepts(page))
  }

  @Test("Answers without segments are told apart by gaps between positions")
  func stretches() {
    #expect(LayerPredictions.stretches([3, 4, 5, 9, 10], segments: nil) == [0..<3, 3..<5])
    #expect(
      LayerPredictions.stretches([1, 2, 3], segments: [0, 1, 1, 2]) == [0..<2, 2..<3])
    #expect(LayerPredictions.spread(4, of: 2) == [0, 1])
    #expect(LayerPredictions.spread(0, of: 0) == [])
    #expect(LayerPredictions.question("not JSON", 0) == nil)
  }
}

@Suite("Charts")
struct ChartTests {
  @Test("Axes cover what is drawn, at round numbers")
  func axes() throws {
    let axis = Axis(covering: [0.03, 2.7], ticks: 4, fromZero: true)
    #expect(axis.low == 0)
    #expect(axis.high >= 2.7)
    #expect(axis.ticks.map { Format.short($0) } == ["0", "1", "2", "3"])
    let logarithmic = try #require(Axis(logarithmic: [0.2, 2.7]))
    #expect(logarithmic.ticks.map { Format.short($0) } == ["0.2", "0.5", "1", "2", "5"])
    #expect(abs(logarithmic.place(1, 0, 1) - 0.5) < 1e-9)
    let wide = try #require(Axis(logarithmic: [0.03, 2.7]))
    #expect(wide.ticks.map { Format.short($0) } == ["0.03", "0.1", "0.3", "1", "3"])
    for values in [[], [0, 1], [-1, 9], [2, 3], [.nan, .infinity], [1e-300, 1]] {
      #expect(Axis(logarithmic: values) == nil)
    }
    for values in [[], [5.0], [0, 0], [-1e-12, 1e-12], [.nan, .infinity], [-3, 8e6]] {
      let axis = Axis(covering: values, ticks: 4)
      #expect(axis.low < axis.high)
      #expect(axis.ticks.count > 1 && axis.ticks.count < 100)
    }
  }

  @Test("Labels at the curves' ends keep apart and inside")
  func labels() {
    let places = LineChart.apart([10, 11, 12, 100], gap: 13, from: 0, to: 100)
    #expect(zip(places, places.dropFirst()).allSatisfy { $1 - $0 >= 13 - 1e-9 })
    #expect(places.allSatisfy { (0...100).contains($0) })
    let crowded = LineChart.apart((0..<30).map { _ in 50 }, gap: 13, from: 0, to: 100)
    #expect(crowded.allSatisfy { (-1e-6...100.000001).contains($0) })
  }

  @Test("Binning keeps the mean; what is not finite is not drawn")
  func bins() {
    let curve = Curve("a", (0..<1000).map { (Double($0), Double($0 % 10)) } + [(1000, .nan)])
    #expect(curve.points.count == 1000)
    let binned = curve.binned(100)
    #expect(binned.points.count == 100)
    #expect(binned.points.allSatisfy { $0.y == 4.5 })
    #expect(
      !LineChart(curves: [Curve("none", [])], x: "", y: "", summary: "").svg.text.contains("nan"))
  }
}

/// Whether every element of a page is closed, in order: no text broke the markup.
private struct XMLCheck {
  func accepts(_ text: String) -> Bool {
    var open: [Substring] = []
    var rest = text[...]
    while let start = rest.firstIndex(of: "<") {
      guard let end = rest[start...].firstIndex(of: ">") else { return false }
      let tag = rest[rest.index(after: start)..<end]
      rest = rest[rest.index(after: end)...]
      let name = tag.prefix { !$0.isWhitespace }
      if tag.hasSuffix("/") || ["!doctype", "meta", "img", "br"].contains(name) { continue }
      if tag.hasPrefix("/") {
        guard open.popLast() == tag.dropFirst() else { return false }
      } else {
        open.append(name)
      }
    }
    return open.isEmpty
  }
}

import Failures
import Foundation
import Testing

@testable import Evaluation

@Suite("A benchmark is read as it was written, or refused with its line")
struct BenchmarkTests {
  private func parse(_ text: String) throws -> [BenchmarkQuestion] {
    try Benchmark.parse(Array(text.utf8), place: "b.tsv").map { try $0.result.get() }
  }

  @Test("Columns in any order, quoted fields, line ends of both kinds, a byte order mark")
  func reads() throws {
    let text =
      "\u{FEFF}question\tindex\tanswer\timage_path\tcategory\textra\r\n"
      + "\"what \"\"is\"\"\tthis\nthing?\"\t7\tred\timages/a.png\tcolour\t\r\n"
      + "second\tx-1\tno\timages/b.png\t\tnan"
    let questions = try parse(text)
    #expect(questions.count == 2)
    #expect(questions[0].question == "what \"is\"\tthis\nthing?")
    #expect(questions[0].index == "7")
    #expect(questions[0].pictures == [.file("images/a.png")])
    #expect(questions[0].category == "colour")
    #expect(questions[1].category == "all")
    #expect(questions[1].prompt == "second")
  }

  @Test("Options, hints, inline pictures and pictures of another row")
  func inline() throws {
    let bytes = (0..<60).map { UInt8($0) }
    let base64 = Data(bytes).base64EncodedString()
    let questions = try parse(
      "index\timage\tquestion\thint\tA\tB\tC\tanswer\n"
        + "1\t\(base64)\twhich?\tlook\tone\ttwo\t\tb\n2\t1\twhich?\t\tone\ttwo\tthree\tC\n")
    #expect(questions[0].pictures == [.inline(row: 0, number: 0)])
    #expect(questions[1].pictures == [.inline(row: 0, number: 0)])
    #expect(questions[1].picture == "1")
    #expect(questions[0].answer == "B")
    #expect(questions[0].options.map(\.text) == ["one", "two"])
    #expect(
      questions[0].prompt == """
        Hint: look
        Question: which?
        Options:
        A. one
        B. two
        Please select the correct answer from the options above.
        """)
    let several = try parse(
      "index\timage_path\tquestion\tanswer\n1\t['a.png', \"b.png\"]\tq\ta\n")
    #expect(several[0].pictures == [.file("a.png"), .file("b.png")])
  }

  @Test(
    "Hostile tables",
    arguments: [
      ("", "empty", "b.tsv"),
      ("index\tquestion\timage_path\n", "answer", "b.tsv:1"),
      ("index\tquestion\tanswer\n1\tq\ta\n", "image", "b.tsv:1"),
      ("index\tindex\tquestion\tanswer\n", "twice", "b.tsv:1"),
      ("index\timage_path\tquestion\tanswer\n", "no question", "b.tsv"),
      ("index\timage_path\tquestion\tanswer\n1\tp\tq\n", "fit", "b.tsv:2"),
      ("index\timage_path\tquestion\tanswer\n1\tp\tq\ta\tb\n", "fit", "b.tsv:2"),
      ("index\timage_path\tquestion\tanswer\n1\tp\t\"q\ta\n", "quote", "b.tsv:2"),
      ("index\timage_path\tquestion\tanswer\n1\tp\t\ta\n", "empty", "b.tsv:2"),
      ("index\timage_path\tquestion\tanswer\n1\tp\tq\ta\n1\tp\tq\ta\n", "twice", "b.tsv:3"),
      ("index\timage_path\tquestion\tanswer\n1\t\tq\ta\n", "image_path", "b.tsv:2"),
      ("index\timage_path\tquestion\tanswer\n1\tp\tq\u{0}\ta\n", "text", "b.tsv:2"),
      ("index\timage\tquestion\tanswer\n1\t!!!!\tq\ta\n", "base64", "b.tsv:2"),
      ("index\timage_path\tquestion\tA\tB\tanswer\n1\tp\tq\tx\ty\tC\n", "none", "b.tsv:2"),
    ])
  func hostile(text: String, says: String, place: String) throws {
    let error = #expect(throws: Failure.self) { try parse(text) }
    #expect(error?.code == .badData)
    #expect(error?.place == place)
    #expect(error?.what.contains(says) == true, "\(error?.description ?? "")")
  }

  @Test("Bytes that are no text, and a file that is not there")
  func unreadable() throws {
    let header = Array("index\timage_path\tquestion\tanswer\n1\tp\t".utf8)
    let error = #expect(throws: Failure.self) {
      try Benchmark.parse(header + [0xFF, 0xFE, 9, 97, 10], place: "b.tsv")[0].result.get()
    }
    #expect(error?.code == .badData)
    let missing = #expect(throws: Failure.self) {
      try Benchmark(contentsOf: "/nowhere/b.tsv")
    }
    #expect(missing?.code == .inputMissing)
  }

  @Test(
    "What a benchmark is, its name tells",
    arguments: [
      ("MMBench_DEV_EN", "MMBench"), ("MMBench_DEV_CN_V11", "MMBench-CN"),
      ("mmbench-cn", "MMBench-CN"),
      ("Q-Bench1_VAL", "Q-Bench"), ("SEEDBench2_Plus", "SEED-Bench"), ("CV-Bench-2D", "CV-Bench"),
      ("POPE", "POPE"), ("pope_mini", "POPE"), ("Popeye", nil), ("MME", "MME"),
      ("MME-RealWorld", nil), ("MM-Vet", "MM-Vet"), ("MMVet_judged", "MM-Vet"),
      ("InfoVQA_VAL", "InfoVQA"), ("test", nil), ("", nil), ("MMMU_DEV_VAL", "MMMU"),
      ("MMMU_Pro_10c", nil), ("AI2D_TEST_NO_MASK", "AI2D"),
    ] as [(String, String?)])
  func kinds(name: String, kind: String?) { #expect(BenchmarkKind.named(name)?.name == kind) }

  @Test("A file is read row by row: its pictures are not kept, and found again")
  func streamed() throws {
    let folder = NSTemporaryDirectory() + "benchmark-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    func picture(_ row: Int) -> [UInt8] {
      (0..<700_000).map { UInt8(truncatingIfNeeded: $0 * row) }
    }
    var text = "index\timage\tquestion\tanswer\textra\n"
    for row in 1...5 {
      let base64 = Data(picture(row)).base64EncodedString()
      // Quoted, and as one of two.
      let cell =
        row == 3 ? "\"\(base64)\"" : row == 4 ? "['\(base64)', '\(base64)']" : base64
      text += "\(row)\t\(cell)\tq \"\(row)\tred\t\"a\nb\"\n"
    }
    text += "6\t3\tagain\tred\t\n"
    let path = folder + "/b.tsv"
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    let benchmark = try Benchmark(contentsOf: path)
    #expect(benchmark.rejects.isEmpty)
    #expect(benchmark.questions.map(\.pictures.count) == [1, 1, 1, 2, 1, 1])
    #expect(benchmark.questions[1].columns == ["extra": "a\nb"])
    for (place, row) in [(0, 1), (2, 3), (3, 4), (4, 5), (5, 3)] {
      guard case .inline(let from, let number)? = benchmark.questions[place].pictures.last else {
        Issue.record("no picture in the file")
        continue
      }
      #expect(try benchmark.bytes(row: from, number: number) == picture(row))
    }
    #expect(benchmark.questions[5].picture == "3")
  }
}

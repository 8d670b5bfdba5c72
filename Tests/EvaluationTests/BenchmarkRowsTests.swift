import Failures
import Foundation
import TestSupport
import Testing

@testable import Evaluation

@Suite("One bad row of a benchmark is one reject")
struct BenchmarkRowsTests {
  private static let header = "index\timage_path\tquestion\tanswer\n"

  private func rows(_ text: String) throws -> [Benchmark.ParsedRow] {
    try Benchmark.parse(Array(text.utf8), place: "b.tsv")
  }

  /// Of each row whether it is a question.
  private func good(_ text: String) throws -> [Bool] {
    try rows(text).map { (try? $0.result.get()) != nil }
  }

  @Test(
    "Good rows around a bad one stay",
    arguments: [
      "2\tp\tq\n", "2\tp\tq\ta\tb\n", "2\tp\t\"q\ta\n", "2\t\tq\ta\n", "2\tp\t\ta\n",
      "1\tp\tq\ta\n", "2\tp\tq\u{0}\ta\n", "2\t['a.png\tq\ta\n", "2\tp\tq\t['a', '']\n",
    ])
  func badRow(row: String) throws {
    #expect(
      try good(Self.header + "1\tp\tq\ta\n" + row + "3\tp\tq\ta\n4\tp\tq\ta\n")
        == [true, false, true, true])
  }

  @Test("Two stray quotes lose two rows, not those between them")
  func strayQuotes() throws {
    let text =
      Self.header + "1\tp\t\"q\ta\n2\tp\tq\ta\n3\tp\t\"q\ta\n4\tp\tq\ta\n"
    #expect(try good(text) == [false, true, false, true])
    #expect(try rows(text).map(\.line) == [2, 3, 4, 5])
  }

  @Test("Lists of pictures in Python's form, commas and quotes within names")
  func lists() throws {
    let found = try rows(
      Self.header
        + "1\t['a, b.png', \"it's.png\", 'it\\'s 2.png']\tq\ta\n2\t[a.png, b.png]\tq\ta\n"
        + "3\t['a.png' 'b.png']\tq\ta\n"
    ).map(\.result)
    #expect(
      try found[0].get().pictures
        == [.file("a, b.png"), .file("it's.png"), .file("it's 2.png")])
    #expect(try found[1].get().pictures == [.file("a.png"), .file("b.png")])
    #expect(throws: Failure.self) { try found[2].get() }
  }

  @Test("A picture that stands with another row, over rows; rows that lead nowhere or in a ring")
  func references() throws {
    let bytes = (0..<60).map { UInt8($0) }
    let base64 = Data(bytes).base64EncodedString()
    let broken = "data:image/png;base64, " + base64.prefix(20) + " " + base64.dropFirst(20)
    let text =
      "index\timage\tquestion\tanswer\n1\t\(broken)\tq\ta\n2\t1\tq\ta\n3\t2.0\tq\ta\n"
      + "4\t5\tq\ta\n5\t4\tq\ta\n6\t99\tq\ta\n7\t\tq\ta\n8\t7\tq\ta\n"
    let found = try rows(text)
    for row in found[..<3] {
      #expect(try row.result.get().pictures == [.inline(row: 0, number: 0)])
    }
    let reasons = found[3...].map { row in failure { _ = try row.result.get() }?.what ?? "" }
    for (reason, says) in zip(
      reasons, ["each other", "each other", "not there", "the image is empty", "has none"])
    {
      #expect(reason.contains(says), "\(reason)")
    }
  }

  @Test("Any of a list of accepted answers is right; a box is an answer")
  func accepted() throws {
    let found = try rows(
      Self.header + "1\tp\tq\t['Red', 'dark red']\n2\tp\tq\t[1, 2]\n"
    ).map { try $0.result.get() }
    #expect(found[0].answer == "Red | dark red")
    #expect(ExactRule().mark("dark red.", found[0]).score == 1)
    #expect(ExactRule().mark("dark", found[0]).score == 0)
    #expect(found[1].accepted == ["[1, 2]"])
  }

  @Test("Two indices that differ by bytes alone are two")
  func exactIndices() throws {
    #expect(
      try good(Self.header + "\u{E9}\tp\tq\ta\ne\u{301}\tp\tq\ta\n") == [true, true])
  }
}

import Artifacts
import Failures
import Foundation
import TestSupport
import Testing

@testable import Imaging

@Suite("Images within texts, and the folder that files must lie in")
struct InlineImageTests {
  @Test("Base64 with breaks, spaces, either alphabet, no padding, in a URL or alone")
  func base64() throws {
    let bytes = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A] + (0..<83).map { UInt8($0 * 3) }
    let text = Data(bytes).base64EncodedString()
    let url = text.replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    let escaped = text.replacing("+", with: "%2B").replacing("=", with: "%3D")
    for form in [
      text, url, text.prefix(40) + "\r\n " + text.dropFirst(40), "data:image/png;base64," + text,
      "DATA:image/png;charset=x;BASE64, " + text, "data:image/png;base64," + escaped,
    ] {
      #expect(InlineImage.stands(in: form))
      #expect(try InlineImage.bytes(form, place: "x") == bytes)
    }
    for form in ["data:image/png;base64", "data:image/png,abc", text + "!", "data:;base64,A"] {
      #expect(failure { _ = try InlineImage.bytes(form, place: "x") }?.code == .badData)
    }
    #expect(!InlineImage.stands(in: "images/a.png") && !InlineImage.stands(in: "/9j/a.jpg"))
  }

  @Test("Paths that leave the folder are refused unless allowed; those inside are not")
  func outside() throws {
    let folder = try TemporaryFolder()
    try folder.write("x", to: "in/a.png")
    try folder.write("x", to: "b.png")
    let link = folder("in/link.png")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: folder("b.png"))
    let files = ImageFiles(path: folder("in"), allowsOutside: false, setting: "s")
    for name in ["a.png", "x/../a.png", folder("in/a.png"), "file://" + folder("in/a.png"), "none"]
    {
      #expect(throws: Never.self) { try files.file(name) }
    }
    for name in [
      "../b.png", folder("b.png"), "link.png", "../none", "/nowhere/x", "a.png\0b",
      "HTTP://a/b.png",
    ] {
      #expect(failure { _ = try files.file(name) }?.code == .badData, "\(name)")
    }
    let open = ImageFiles(path: folder("in"), allowsOutside: true, setting: "s")
    #expect(try open.file("../b.png").hasSuffix("in/../b.png"))
    #expect(failure { _ = try open.file("a\0") } != nil)
  }

  @Test("A message is cut to a readable length, by scalars")
  func readableLength() {
    let long = "e" + String(repeating: "\u{301}", count: 100_000)
    #expect(readable(long).unicodeScalars.count < 160)
    #expect("\(Failure(.badData, "x", at: long, found: long))".unicodeScalars.count < 1800)
    #expect(readable("a\nb\u{0}") == "a\\nb\\u{0}")
  }
}

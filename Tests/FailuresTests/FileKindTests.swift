import Failures
import Testing

@Suite("A file is called what it is, by its first bytes")
struct FileKindTests {
  private static func tar() -> [UInt8] {
    Array("data.json".utf8) + [UInt8](repeating: 0, count: 248) + Array("ustar\0".utf8)
  }

  private static func zip(_ name: String) -> [UInt8] {
    [0x50, 0x4B, 3, 4] + [UInt8](repeating: 0, count: 26) + Array(name.utf8)
  }

  private static func safetensors() -> [UInt8] {
    [0x40, 0x03, 0, 0, 0, 0, 0, 0] + Array("{\"a\":{\"dtype\":\"BF16\"".utf8)
  }

  private static func utf16(_ text: String) -> [UInt8] {
    text.utf16.flatMap { [UInt8($0 & 255), UInt8($0 >> 8)] }
  }

  @Test(
    "Kinds that stand where another file was expected",
    arguments: [
      ([0x1F, 0x8B, 8, 0], "a gzip file"), (tar(), "a tar archive"),
      (zip("data/a.json"), "a zip archive"), (zip("archive/data.pkl"), "a PyTorch checkpoint"),
      (zip("[Content_Types].xml"), "an Office document"),
      ([0x28, 0xB5, 0x2F, 0xFD, 4], "a zstd file"), (Array("PAR1\u{15}".utf8), "a Parquet file"),
      ([0xFF, 0xFF, 0xFF, 0xFF, 0x58, 2], "an Arrow stream"),
      ([0x80, 2, 0x7D], "a Python pickle"), (safetensors(), "a safetensors file"),
      ([0xFF, 0xFE, 0x7B, 0], "UTF-16 text"), ([0xFE, 0xFF, 0, 0x7B], "UTF-16 text"),
      ([0xFF, 0xFE, 0, 0, 0x7B], "UTF-32 text"), (utf16("[{\"id\""), "UTF-16LE text"),
      ([0] + utf16("[{\"id\": 1").dropLast(), "UTF-16BE text"),
      (Array("\n <!DOCTYPE html><html>".utf8), "an HTML page"),
      (Array("<HTML><HEAD>".utf8), "an HTML page"),
      (Array("<?xml version=\"1.0\"?>\n<Error><Code>".utf8), "an XML error message"),
      (Array("<?xml version=\"1.0\"?>\n<svg xmlns".utf8), "an SVG drawing"),
      (
        Array("version https://git-lfs.github.com/spec/v1\noid sha256:".utf8), "a Git LFS pointer"
      ),
      (Array("/annex/objects/SHA256E-s3--".utf8), "a git-annex pointer"),
      (Array("Entry not found".utf8), "a server's error message"),
      ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], "a PNG image"),
      (Array("RIFF\0\0\0\0WEBPVP8 ".utf8), "a WebP image"),
      (Array("RIFF\0\0\0\0WAVEfmt ".utf8), "a WAV recording"),
      ([0, 0, 0, 0x1C] + Array("ftypavif".utf8), "an AVIF image"),
      ([0, 0, 0, 0x1C] + Array("ftypheic".utf8), "a HEIC image"),
      ([0, 0, 0, 0x1C] + Array("ftypisom".utf8), "an MP4"),
      ([0x42, 0x4D, 0x36, 4, 0, 0, 0, 0, 0, 0, 0x36, 0, 0, 0], "a BMP image"),
      ([0x49, 0x49, 0x2A, 0, 8], "a TIFF image"), (Array("GGUF\u{3}".utf8), "a GGUF file"),
    ] as [([UInt8], String)])
  func named(bytes: [UInt8], name: String) {
    #expect(FileKind.describe(prefix: bytes)?.hasPrefix(name) == true)
  }

  @Test(
    "What our readers read is no other kind",
    arguments: [
      "", "[", "{\"conversations\": []}", "\u{FEFF}[{\"id\": 1}]", "index\tquestion\tanswer\n",
      "\"index\"\t\"image\"", "version of the question\tindex", "BM\tindex",
      "404 questions\tindex"
        + String(repeating: "\tcolumn", count: 60), "iVBORw0KGgo", "not an answer",
    ])
  func ordinary(text: String) {
    #expect(FileKind.describe(prefix: text.utf8) == nil)
  }

  @Test("A failure names the kind and says what to do, and stays itself for what is no kind")
  func naming() {
    let failure = Failure(.badData, "not JSON", at: "data.json", found: "byte 0x1f")
    let named = failure.naming([0x1F, 0x8B, 8])
    #expect("\(named)" == "data.json: not JSON; found a gzip file. Unpack it: gunzip FILE.")
    #expect(failure.naming("[]".utf8) == failure)
  }

  @Test(
    "A name on the hub is told from a path",
    arguments: [
      ("Qwen/Qwen2-VL-2B-Instruct", true), ("a/b", true), ("/a/b", false), ("./model", false),
      ("../model", false), ("model", false), ("runs/tiny/model", false), ("a b/c", false),
      ("models/", false), ("~/model", false), ("", false),
    ])
  func hub(path: String, isName: Bool) {
    #expect((Failure.hubAdvice(path) != nil) == isName)
  }
}

/// What a file is, told by its first bytes: what a message says where another kind was expected.
///
/// Only kinds that none of our readers could mistake for their own; ordinary text is none of them.
public struct FileKind: Sendable, Equatable {
  /// With its article: "a Parquet file".
  public var name: String
  /// What the user can do to get what was meant.
  public var advice: String?

  /// As many first bytes as are looked at.
  public static let prefixLength = 1024

  private init(_ name: String, _ advice: String? = nil) {
    self.name = name
    self.advice = advice
  }

  /// - Parameter prefix: the first bytes of a file, `prefixLength` or the whole; more do no harm.
  /// - Returns: nil where the bytes tell nothing.
  public init?(prefix: some Collection<UInt8>) {
    let bytes = Array(prefix.prefix(FileKind.prefixLength))
    guard let kind = FileKind.binary(bytes) ?? FileKind.encoding(bytes) ?? FileKind.text(bytes)
    else { return nil }
    self = kind
  }

  /// The kind in words, such as "a gzip file"; nil where the bytes tell nothing.
  public static func describe(prefix: some Collection<UInt8>) -> String? {
    FileKind(prefix: prefix)?.name
  }

  // MARK: Binary files

  private static let unpack = "Unpack it and give what is inside."
  private static let convertImage = "Convert it to PNG or JPEG."

  /// By the bytes at the very start.
  private static let signatures: [(bytes: [UInt8], kind: FileKind)] = [
    ([0x1F, 0x8B], FileKind("a gzip file", "Unpack it: gunzip FILE.")),
    ([0x28, 0xB5, 0x2F, 0xFD], FileKind("a zstd file", "Unpack it: zstd -d FILE.")),
    ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00], FileKind("an xz file", "Unpack it: unxz FILE.")),
    (Array("BZh".utf8), FileKind("a bzip2 file", "Unpack it: bunzip2 FILE.")),
    ([0x04, 0x22, 0x4D, 0x18], FileKind("an lz4 file", "Unpack it: lz4 -d FILE.")),
    ([0x37, 0x7A, 0xBC, 0xAF, 0x27, 0x1C], FileKind("a 7z archive", unpack)),
    (Array("Rar!".utf8), FileKind("a rar archive", unpack)),
    ([0x50, 0x4B, 0x05, 0x06], FileKind("an empty zip archive")),
    (
      Array("PAR1".utf8),
      FileKind("a Parquet file", "Convert it, for instance with pandas.read_parquet.")
    ),
    (
      Array("ARROW1".utf8),
      FileKind("an Arrow file", "Convert it, for instance with datasets' Dataset.from_file.")
    ),
    (
      [0xFF, 0xFF, 0xFF, 0xFF],
      FileKind("an Arrow stream", "Convert it, for instance with datasets' Dataset.from_file.")
    ),
    (Array("SQLite format 3\0".utf8), FileKind("an SQLite database")),
    ([0x89] + Array("HDF".utf8), FileKind("an HDF5 file")),
    ([0x93] + Array("NUMPY".utf8), FileKind("a NumPy array")),
    (
      Array("GGUF".utf8),
      FileKind("a GGUF file", "Give the checkpoint that it was made from, in safetensors.")
    ),
    (Array("%PDF".utf8), FileKind("a PDF")),
    ([0x7F] + Array("ELF".utf8), FileKind("a program")),
    ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], FileKind("a PNG image")),
    ([0xFF, 0xD8, 0xFF], FileKind("a JPEG image")),
    (Array("GIF8".utf8), FileKind("a GIF image")),
    ([0x49, 0x49, 0x2A, 0x00], FileKind("a TIFF image", convertImage)),
    ([0x4D, 0x4D, 0x00, 0x2A], FileKind("a TIFF image", convertImage)),
    ([0x00, 0x00, 0x01, 0x00], FileKind("an icon", convertImage)),
    ([0xFF, 0x0A], FileKind("a JPEG XL image", convertImage)),
    ([0, 0, 0, 0x0C] + Array("JXL ".utf8), FileKind("a JPEG XL image", convertImage)),
    ([0, 0, 0, 0x0C] + Array("jP  ".utf8), FileKind("a JPEG 2000 image", convertImage)),
    (Array("8BPS".utf8), FileKind("a Photoshop image", convertImage)),
    ([0x1A, 0x45, 0xDF, 0xA3], FileKind("a Matroska or WebM video")),
    (Array("OggS".utf8), FileKind("an Ogg recording")),
    (Array("ID3".utf8), FileKind("an MP3 recording")),
    (Array("fLaC".utf8), FileKind("a FLAC recording")),
  ]

  private static func binary(_ bytes: [UInt8]) -> FileKind? {
    func has(_ text: String, at offset: Int) -> Bool {
      bytes.dropFirst(offset).starts(with: text.utf8)
    }
    if let known = signatures.first(where: { bytes.starts(with: $0.bytes) }) { return known.kind }
    if bytes.starts(with: [0x50, 0x4B, 0x03, 0x04]) { return zip(bytes) }
    if bytes.count > 1, bytes[0] == 0x80, (2...5).contains(bytes[1]) {
      return FileKind(
        "a Python pickle, as torch.save writes",
        "Save it as safetensors, or as text, with the program that made it.")
    }
    if bytes.count > 8, bytes[8] == UInt8(ascii: "{"), bytes[5..<8].allSatisfy({ $0 == 0 }) {
      return FileKind("a safetensors file")
    }
    if bytes.count >= 20, bytes[16..<20].elementsEqual([0xDE, 0xC0, 0xEF, 0xBE]) {
      return FileKind("an LMDB file")
    }
    if has("RIFF", at: 0) {
      if has("WEBP", at: 8) { return FileKind("a WebP image") }
      if has("AVI ", at: 8) { return FileKind("an AVI video") }
      if has("WAVE", at: 8) { return FileKind("a WAV recording") }
    }
    if has("ftyp", at: 4) {
      if has("avi", at: 8) { return FileKind("an AVIF image", convertImage) }
      let still = ["heic", "heix", "heif", "hevc", "mif1", "msf1"]
      if still.contains(where: { has($0, at: 8) }) {
        return FileKind("a HEIC image", convertImage)
      }
      return FileKind("an MP4 or QuickTime video")
    }
    if has("BM", at: 0), bytes.count >= 14, bytes[6..<10].allSatisfy({ $0 == 0 }) {
      return FileKind("a BMP image", convertImage)
    }
    if has("ustar", at: 257) { return FileKind("a tar archive", "Unpack it: tar -xf FILE.") }
    return nil
  }

  /// The name of a zip's first member tells what the archive is.
  private static func zip(_ bytes: [UInt8]) -> FileKind {
    let name = bytes.dropFirst(30)
    func holds(_ text: String) -> Bool { name.firstRange(of: Array(text.utf8)) != nil }
    if holds("data.pkl") {
      return FileKind(
        "a PyTorch checkpoint, as torch.save writes",
        "Save it as safetensors: model.save_pretrained(DIR) of transformers does.")
    }
    if holds("[Content_Types].xml") || holds("xl/") {
      return FileKind("an Office document", "Export it as text, in UTF-8.")
    }
    if holds(".npy") { return FileKind("NumPy arrays (npz)") }
    return FileKind("a zip archive", "Unpack it: unzip FILE.")
  }

  // MARK: Text

  /// Text in an encoding of more than one byte.
  private static func encoding(_ bytes: [UInt8]) -> FileKind? {
    func text(_ name: String) -> FileKind {
      FileKind("\(name) text", "Save it as UTF-8: iconv -f \(name) -t UTF-8 FILE > NEW.")
    }
    if bytes.starts(with: [0xFF, 0xFE, 0, 0]) || bytes.starts(with: [0, 0, 0xFE, 0xFF]) {
      return text("UTF-32")
    }
    if bytes.starts(with: [0xFF, 0xFE]) || bytes.starts(with: [0xFE, 0xFF]) {
      return text("UTF-16")
    }
    // Without a mark: what begins with ASCII has a zero in every other byte.
    guard bytes.count >= 8 else { return nil }
    let zero = (0..<8).map { bytes[$0] == 0 }
    if zero == [false, true, false, true, false, true, false, true] { return text("UTF-16LE") }
    if zero == [true, false, true, false, true, false, true, false] { return text("UTF-16BE") }
    return nil
  }

  /// Text that stands where a file should: a pointer to it, or what a server answered instead.
  private static func text(_ bytes: [UInt8]) -> FileKind? {
    var text = bytes[...]
    if text.starts(with: [0xEF, 0xBB, 0xBF]) { text = text.dropFirst(3) }
    text = text.drop { $0 == 0x20 || (0x09...0x0D).contains($0) }
    let lower = text.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 }
    func begins(_ start: String) -> Bool { lower.starts(with: start.utf8) }
    if begins("version https://git-lfs.github.com/spec/") {
      return FileKind(
        "a Git LFS pointer (the file itself was not downloaded)", "Fetch it: git lfs pull.")
    }
    if begins("/annex/objects/") || begins("../.git/annex/") || begins(".git/annex/") {
      return FileKind(
        "a git-annex pointer (the file itself was not downloaded)", "Fetch it: git annex get FILE.")
    }
    let again = "A server sent it instead of the file: download that again, logged in if need be."
    if begins("<!doctype html") || begins("<html") || begins("<head") || begins("<body") {
      return FileKind("an HTML page", again)
    }
    if begins("<svg") { return FileKind("an SVG drawing", convertImage) }
    if begins("<?xml") || begins("<error") {
      if lower.firstRange(of: Array("<svg".utf8)) != nil {
        return FileKind("an SVG drawing", convertImage)
      }
      let isError = lower.firstRange(of: Array("<error".utf8)) != nil
      return FileKind(isError ? "an XML error message" : "an XML file", isError ? again : nil)
    }
    if begins("<!--") { return FileKind("an HTML or XML file", again) }
    for answer in [
      "entry not found", "repository not found", "invalid username or password", "access to model",
      "access to dataset", "not found", "404", "access denied", "unauthorized", "403 forbidden",
    ] where begins(answer) && bytes.count < 400 {
      return FileKind("a server's error message", again)
    }
    return nil
  }
}

extension Failure {
  /// This failure, saying what the file is where its first bytes show that it is of another kind
  /// than expected.
  public func naming(_ prefix: some Collection<UInt8>) -> Failure {
    guard let kind = FileKind(prefix: prefix) else { return self }
    var named = self
    named.found = kind.name
    named.advice = kind.advice ?? advice
    return named
  }

  /// Advice for a path that leads nowhere and looks like a name on the Hugging Face Hub, such as
  /// `Qwen/Qwen2-VL-2B-Instruct`; nil for others.
  ///
  /// - Parameter repository: what would be there, `model` or `dataset`.
  public static func hubAdvice(_ path: String, repository: String = "model") -> String? {
    let parts = path.split(separator: "/", omittingEmptySubsequences: false)
    func isName(_ part: Substring) -> Bool {
      guard let first = part.utf8.first, first != UInt8(ascii: ".") else { return false }
      return part.utf8.allSatisfy {
        (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) || (0x61...0x7A).contains($0)
          || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
      }
    }
    guard parts.count == 2, parts.allSatisfy(isName) else { return nil }
    let kind = repository == "model" ? "" : " --repo-type \(repository)"
    return "Nothing is fetched: if it is a \(repository) on the Hugging Face Hub, download it "
      + "first (hf download \(path)\(kind) --local-dir DIR)"
  }
}

import Artifacts
import Failures
import Foundation
import Imaging

/// What an image file was when a sample was made of it, to notice that it is another one now.
struct ImageStamp: Sendable, Equatable {
  /// As the data set names it.
  var name: String
  /// Size and time of the last change; nil where there was no such file.
  var stamp: String?
  /// XXH3-128 of its bytes; nil where they could not be read.
  var digest: String?

  var json: JSON {
    [
      "image": .string(name), "stamp": stamp.map { .string($0) } ?? .null,
      "digest": digest.map { .string($0) } ?? .null,
    ]
  }

  init(name: String, stamp: String?, digest: String? = nil) {
    self.name = name
    self.stamp = stamp
    self.digest = digest
  }

  init?(_ json: JSON) {
    guard let name = json["image"]?.asString else { return nil }
    self.init(name: name, stamp: json["stamp"]?.asString, digest: json["digest"]?.asString)
  }
}

/// Where the images of a data set lie.
struct ImageFolder: Sendable {
  private let files: ImageFiles

  /// What relative paths start from.
  var path: String { files.path }

  init(path: String, allowsOutside: Bool = false) {
    files = ImageFiles(
      path: path, allowsOutside: allowsOutside, setting: "prepare.allow_outside_images")
  }

  /// Reads and decodes an image: a path, a file: or data: URL, or base64. Files add a stamp.
  ///
  /// - Throws: `Failure` where the file cannot be read or is no whole image.
  func image(_ name: String, _ stamps: inout [ImageStamp]) throws -> RGBImage {
    if InlineImage.stands(in: name) {
      return try RGBImage(decoding: InlineImage.bytes(name, place: "data"), place: "data")
    }
    let file = try files.file(name)
    // Before the bytes: a change between the two is one that a later look finds.
    var stamp = ImageStamp(name: name, stamp: Files.stamp(file))
    defer { stamps.append(stamp) }
    guard stamp.stamp == nil || Files.isFile(file) else {
      throw Failure(.inputMissing, "not a file", at: file)
    }
    let bytes = try Files.read(file, limit: RGBImage.mostBytes)
    stamp.digest = Fingerprint.bytes(bytes)
    return try RGBImage(decoding: bytes, place: file)
  }

  /// Whether a file is another one now. One that is gone is not: what was made of it stands. A
  /// copy with another time of change is told by its bytes.
  func changed(_ old: ImageStamp) -> Bool {
    guard let file = try? files.file(old.name), let now = Files.stamp(file), now != old.stamp
    else { return false }
    return old.digest == nil || !Files.isFile(file) || (try? Fingerprint.file(file)) != old.digest
  }

  // MARK: The images of a finished artifact

  /// Beside the manifest, not in it: it holds times, which differ where the samples do not.
  private static let listName = "images.jsonl"

  /// Keeps the stamps of a finished artifact.
  static func write(
    in output: String, _ stamps: (_ put: (ImageStamp) throws -> Void) throws -> Void
  ) throws {
    let file = try OutputFile(Files.join(output, listName))
    try stamps { try file.write(Array(($0.json.text() + "\n").utf8)) }
    try file.commit()
  }

  /// The first image that is another one than when the artifact was made, if that is finished.
  func firstChange(since output: String) throws -> String? {
    let list = Files.join(output, ImageFolder.listName)
    guard Files.exists(Files.join(output, Manifest.fileName)), Files.size(list) ?? 0 > 0 else {
      return nil
    }
    let reader = try DatasetReader(path: list)
    while let line = try reader.next() {
      if let value = try? JSON(parsing: line.bytes, place: list), let stamp = ImageStamp(value),
        changed(stamp)
      {
        return stamp.name
      }
    }
    return nil
  }
}

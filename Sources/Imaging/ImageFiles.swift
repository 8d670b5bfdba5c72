import Artifacts
import Failures
import Glibc

/// The folder that the image files of a data set or a benchmark lie in.
public struct ImageFiles: Sendable {
  /// What relative paths start from.
  public let path: String
  /// The setting that lets paths lead out of the folder, for the advice.
  public let setting: String
  private let allowsOutside: Bool
  /// The folder with its links resolved; nil where it is not there.
  private let root: String?

  public init(path: String, allowsOutside: Bool, setting: String) {
    self.path = path.isEmpty ? "." : path
    self.allowsOutside = allowsOutside
    self.setting = setting
    root = ImageFiles.resolved(self.path)
  }

  /// The file that a data set names: a path that starts from the folder, an absolute one, or a
  /// `file:` URL.
  ///
  /// - Throws: `Failure(.badData)` for an address on the net, a name that no file can have, and a
  ///   path that leads out of the folder by `..`, from the root or through a link, unless that is
  ///   allowed.
  public func file(_ name: String) throws -> String {
    for scheme in ["http://", "https://", "s3://", "gs://", "hf://", "ftp://"]
    where name.begins(bytes: scheme, anyCase: true) {
      throw Failure(
        .badData, "images are not fetched, only read from files", at: readable(name))
    }
    var name = name
    if name.begins(bytes: "file://", anyCase: true) {
      name = String(decoding: name.utf8.dropFirst(7), as: UTF8.self)
    }
    // The system would take what stands before it for the name.
    guard !name.utf8.contains(0) else {
      throw Failure(.badData, "the name of an image holds a NUL", at: readable(name))
    }
    let file = name.utf8.first == UInt8(ascii: "/") ? name : Files.join(path, name)
    guard !allowsOutside, !isInside(file) else { return file }
    throw Failure(
      .badData, "the image lies outside the folder of images", at: readable(name),
      expected: "a file in \(path)",
      advice: "Name a folder that holds all images with --images, or set \(setting): true.")
  }

  private func isInside(_ file: String) -> Bool {
    guard let root else { return !ImageFiles.leaves(file, path) }
    // What is not there is no harm, unless its name alone leads out.
    guard let target = ImageFiles.resolved(file) else { return !ImageFiles.leaves(file, path) }
    return target.begins(bytes: root == "/" ? root : root + "/")
  }

  private static func resolved(_ path: String) -> String? {
    guard let resolved = realpath(path, nil) else { return nil }
    defer { free(resolved) }
    return String(cString: resolved)
  }

  /// Whether a path leads out of a folder by its parts alone.
  private static func leaves(_ file: String, _ folder: String) -> Bool {
    func parts(_ path: String) -> [ExactText] {
      var parts: [ExactText] = []
      for part in path.utf8.split(separator: UInt8(ascii: "/")) {
        let part = String(part) ?? ""
        if part == ".." {
          if parts.isEmpty || parts.last == ExactText("..") {
            parts.append(ExactText(part))
          } else {
            parts.removeLast()
          }
        } else if part != "." {
          parts.append(ExactText(part))
        }
      }
      return parts
    }
    let isAbsolute = { (path: String) in path.utf8.first == UInt8(ascii: "/") }
    return isAbsolute(file) != isAbsolute(folder) || !parts(file).starts(with: parts(folder))
  }
}

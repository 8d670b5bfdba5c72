import Failures
import Glibc

/// What other runs have made at an artifact's place: a finished one of the same recipe is linked in place
/// of being made again.
///
/// Its files become hard links, so that either run may be removed and the other keeps them; where the
/// file system has none they are copied. The manifest is a file of its own: Make follows its time, and
/// paths in it that led into the other run lead into this one.
struct EarlierArtifacts {
  private let directory: String
  /// The folders of the other runs and of this one, and the artifact's place in each.
  private let runs: (own: String, others: [String])
  private let name: String

  /// - Parameters:
  ///   - root: a run, or a folder of runs that this artifact's is one of
  ///   - directory: the artifact's folder, in a run
  /// Nil where the two have nothing to do with each other.
  init?(in root: String, for directory: String) {
    let (base, own) = (Files.components(root), Files.components(directory))
    let isFolder = own.starts(with: base)
    let depth = isFolder ? base.count : base.count - 1
    guard depth >= 0, own.count >= depth + 2, own.starts(with: base[..<depth]) else { return nil }
    self.directory = directory
    name = own[(depth + 1)...].joined(separator: "/")
    // As it was named: what a manifest says is relative where that is.
    let run = Files.prefix(directory, without: own.count - depth - 1)
    let others = isFolder ? (try? Files.list(root)) ?? [] : []
    runs = (
      run,
      isFolder
        ? others.filter { $0 != own[depth] && !$0.hasPrefix(".") }.map { Files.join(root, $0) }
        : base == Array(own[..<(depth + 1)]) ? [] : [Files.trimmed(root)]
    )
  }

  /// The first that is what this recipe would give, with every file as it was written.
  func find(_ identity: String, kind: ArtifactKind) -> Found? {
    for run in runs.others {
      let folder = Files.join(run, name)
      guard let manifest = try? ArtifactReader.manifest(in: folder), manifest.kind == kind,
        manifest.identity == identity
      else { continue }
      let checked = CheckedFiles(directory: folder)
      let stamps = manifest.everyFile.map { CheckedFiles.stamp(Files.join(folder, $0.file)) }
      guard manifest.everyFile.allSatisfy({ (try? checked.check($0)) != nil }) else { continue }
      return Found(
        folder: folder, run: run, manifest: manifest,
        stamps: zip(manifest.everyFile, stamps).compactMap { file, stamp in
          stamp.map { (file, $0) }
        })
    }
    return nil
  }

  struct Found {
    let folder: String
    fileprivate let run: String
    fileprivate let manifest: Manifest
    fileprivate let stamps: [(Manifest.File, stamp: String)]
  }

  /// Puts links to its files into this artifact's folder, at once: until then, what is there stays, and
  /// goes aside then.
  /// - Parameter present: the identity of what is there
  /// - Returns: whether it is there now; false where it has gone or changed meanwhile.
  /// - Throws: 73, 74
  func take(_ found: Found, present: String?) throws -> Bool {
    let folder = Files.join(directory, Superseded.linking)
    try Files.removeTree(folder)
    try Files.makeDirectory(folder)
    for (file, stamp) in found.stamps {
      let (from, to) = (Files.join(found.folder, file.file), Files.join(folder, file.file))
      if file.file.utf8.contains(UInt8(ascii: "/")) {
        try Files.makeDirectory(Files.parent(of: to))
      }
      guard Files.linkOrCopy(from, to: to), Files.size(to) == file.bytes,
        CheckedFiles.stamp(from) == stamp
      else {
        try Files.removeTree(folder)
        return false
      }
    }
    CheckedFiles(directory: folder).keep(
      found.manifest.everyFile.map(\.file),
      found.stamps.compactMap { file, _ in
        CheckedFiles.stamp(Files.join(folder, file.file)).map { (file, $0) }
      })
    var manifest = found.manifest
    let run = Files.components(found.run)
    manifest.facts = manifest.facts.mapValues { value in
      guard let path = value.asString, path.utf8.contains(UInt8(ascii: "/")) else { return value }
      let parts = Files.components(path)
      guard parts.starts(with: run) else { return value }
      return .string(([runs.own] + parts[run.count...]).joined(separator: "/"))
    }
    if manifest.facts["linked_from"] == nil {
      manifest.facts["linked_from"] = .string(found.folder)
    }
    try writeAtomically(
      manifest.json.text(pretty: true), to: Files.join(folder, Manifest.fileName))
    try Superseded(directory: directory).takeLinked(present: present)
    return true
  }
}

extension Files {
  /// The parts of a path from the root, `.` and `..` worked out by the letter.
  static func components(_ path: String) -> [String] {
    var whole = path
    if path.utf8.first != UInt8(ascii: "/"), let here = getcwd(nil, 0) {
      defer { free(here) }
      whole = String(cString: here) + "/" + path
    }
    var parts: [String] = []
    for part in whole.utf8.split(separator: UInt8(ascii: "/")) {
      let part = String(decoding: Array(part), as: UTF8.self)
      if part == "." { continue }
      if part == ".." { _ = parts.popLast() } else { parts.append(part) }
    }
    return parts
  }

  /// A path without its last parts.
  static func prefix(_ path: String, without count: Int) -> String {
    (0..<count).reduce(trimmed(path)) { path, _ in trimmed(parent(of: path)) }
  }

  /// A second name of a file, or its copy. Whether there is one.
  static func linkOrCopy(_ from: String, to: String) -> Bool {
    if link(from, to) == 0 { return true }
    guard errno != ENOENT, let source = try? open(from) else { return false }
    defer { closeDescriptor(source) }
    guard !exists(to), let size = size(from), let target = try? OutputFile(to) else { return false }
    do {
      for offset in stride(from: 0, to: size, by: 1 << 20) {
        let count = min(1 << 20, size - offset)
        try target.write(read(source, offset: offset, count: count, path: from))
      }
      try target.commit()
      return true
    } catch {
      return false
    }
  }
}

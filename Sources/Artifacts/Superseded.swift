import Failures

/// What a folder held before its stage was run with other settings or inputs: moved aside, never
/// thrown away before the new artifact is finished, and taken back when the old settings return.
///
/// An artifact of identity I lies in `superseded-` and the first eight digits of I. A move that was
/// cut off leaves a folder with a suffix that says which way it went, and is finished by whoever
/// opens the artifact next.
struct Superseded {
  static let prefix = "superseded-"
  /// An artifact of another run, while links to its files are made.
  static let linking = prefix + "linking"
  private static let leaving = ".leaving"
  private static let returning = ".returning"

  let directory: String

  private func path(_ name: String) -> String { Files.join(directory, name) }

  /// The names of all that was moved aside, moves that were cut off included.
  var names: [String] {
    ((try? Files.list(directory)) ?? []).filter { $0.hasPrefix(Superseded.prefix) }
  }

  private static func name(_ identity: String?) -> String {
    prefix + (identity.map { String($0.prefix(8)) } ?? "unknown")
  }

  /// What belongs to the artifact itself.
  private var contents: [String] {
    get throws {
      try Files.list(directory).filter {
        !$0.hasPrefix(Lease.prefix) && !$0.hasPrefix(Superseded.prefix)
          && $0 != ArtifactWriter.partsName
      }
    }
  }

  /// Finishes a move that was cut off. Throws 73, 74.
  func settle() throws {
    for name in names {
      if name == Superseded.linking { try Files.removeTree(path(name)) }
      if name.hasSuffix(Superseded.leaving) { try leave(name) }
      if name.hasSuffix(Superseded.returning) { try enter(name) }
    }
  }

  /// Moves what the folder holds aside and returns where it went. Throws 73, 74.
  func moveAside(identity: String?) throws -> String {
    let name = Superseded.name(identity)
    let taken = Set(names)
    var free = name
    var number = 2
    while taken.contains(free) {
      free = "\(name)-\(number)"
      number += 1
    }
    try Files.makeDirectory(path(free + Superseded.leaving))
    try leave(free + Superseded.leaving)
    return path(free)
  }

  private func leave(_ name: String) throws {
    for entry in try contents { try Files.move(path(entry), to: path("\(name)/\(entry)")) }
    try Files.move(path(name), to: path(String(name.dropLast(Superseded.leaving.count))))
    Files.synchronize(directory)
  }

  /// Takes back an artifact of this identity, if one was moved aside; what lies in its place goes
  /// aside first, as `present`. Throws 73, 74.
  func takeBack(_ identity: String, present: String?) throws -> Bool {
    let wanted = names.first { name in
      let folder = path(name)
      return name.hasPrefix(Superseded.name(identity))
        && (try? ArtifactReader.manifest(in: folder))?.identity
          ?? Journal.read(in: folder)?.identity == identity
    }
    guard let wanted else { return false }
    try put(wanted, present: present)
    return true
  }

  private func put(_ wanted: String, present: String?) throws {
    if try !contents.isEmpty { _ = try moveAside(identity: present) }
    let name = wanted + Superseded.returning
    try Files.move(path(wanted), to: path(name))
    try enter(name)
  }

  /// Puts the linked artifact in its place: it is finished, so all that it supersedes goes. Throws 73, 74.
  func takeLinked(present: String?) throws {
    try put(Superseded.linking, present: present)
    try removeAll()
  }

  private func enter(_ name: String) throws {
    for entry in try Files.list(path(name)) {
      try Files.move(path("\(name)/\(entry)"), to: path(entry))
    }
    try Files.removeTree(path(name))
    Files.synchronize(directory)
  }

  /// Removes all that was moved aside. Throws 73.
  func removeAll() throws {
    for name in names { try Files.removeTree(path(name)) }
  }
}

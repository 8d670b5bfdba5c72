import Failures

extension ArtifactWriter {
  /// A folder that was entered: the right to write there, and what goes on in it.
  struct Opening {
    let lease: Lease
    var journal: Journal
    var isComplete = false
    var isContinuing = false
    var repaired: Manifest?
    var startedOver: String?
    var movedAside: String?
    var linkedFrom: String?
  }

  /// Comes in, looks at what is there, and makes room where it is of no use.
  static func begin(
    _ admission: Admission, _ recipe: Recipe, redo: String?, discard: Bool,
    earlier: EarlierArtifacts?, before: () throws -> Void
  ) throws -> Opening {
    let (directory, share) = (admission.directory, admission.share)
    let journal = Journal(identity: admission.identity, recipe: recipe.json)
    var made: (reason: String?, place: String?)
    var linkedFrom: String?
    /// Looks at what must hold where there is something to do that no other run has done.
    func prepare(for found: Found) throws -> EarlierArtifacts.Found? {
      if case .complete = found { return nil }
      if redo == nil, case .other = found,
        let twin = earlier?.find(admission.identity, kind: recipe.kind)
      {
        return twin
      }
      try before()
      return nil
    }
    /// Takes what another run has made.
    func take(_ twin: EarlierArtifacts.Found?, over found: inout Found) throws {
      guard let twin, let earlier, case .other(let present, _) = found else { return }
      guard try earlier.take(twin, present: present) else { return try before() }
      found = .complete
      linkedFrom = twin.folder
    }
    /// Where there is nothing to go on with, what is there gives way to an artifact without shards.
    func makeRoom(for found: Found) throws {
      guard case .other(let present, let reason) = found else { return }
      made = (
        reason,
        try giveWay(directory, identity: present, reason: reason, discard: discard)
      )
      try journal.write(in: directory)
    }
    var found: Found
    let lease: Lease
    if share == .all {
      lease = try admission.enter()
      found = try examine(directory, recipe, share, redo: redo)
      try take(try prepare(for: found), over: &found)
      try makeRoom(for: found)
    } else {
      // What takes long comes first: while one comes in, the others wait.
      found = look(directory, recipe, admission.identity, share, redo: redo)
      let twin = try prepare(for: found)
      lease = try admission.enter { others in
        found = look(directory, recipe, admission.identity, share, redo: redo)
        guard case .other = found else { return }
        if let other = try others().first {
          throw Failure(
            .cannotCreate,
            "another program is writing this artifact with other settings or inputs",
            at: directory, found: other.description, advice: "Wait until it has ended")
        }
        found = try examine(directory, recipe, share, redo: redo)
        try take(twin, over: &found)
        try makeRoom(for: found)
      }
    }
    var opening = Opening(
      lease: lease, journal: journal, startedOver: made.reason, movedAside: made.place,
      linkedFrom: linkedFrom)
    try goOn(found, share, in: directory, &opening)
    return opening
  }

  private static func goOn(
    _ found: Found, _ share: Share, in directory: String, _ opening: inout Opening
  ) throws {
    let scratch = Files.join(directory, scratchName)
    switch found {
    case .other: break
    case .complete:
      opening.isComplete = true
      guard share == .all else { return }
      // A run that ended between writing the manifest and removing the journal was complete.
      try Files.remove(Files.join(directory, Journal.fileName))
      try Files.removeTree(scratch)
    case .damaged(let manifest, let sound):
      opening.repaired = manifest
      for shard in sound {
        guard let number = shardNumber(shard.file) else { continue }
        opening.journal.shards[number] = Journal.Entry(shard: shard, tensors: [])
      }
    case .unfinished(let earlier):
      if share == .all {
        for folder in [directory, scratch] { try OutputFile.removeLeftovers(in: folder) }
      }
      opening.journal = try keepSound(earlier, of: share, in: directory)
      opening.isContinuing = share == .all || !opening.journal.shards.isEmpty
    }
  }
}

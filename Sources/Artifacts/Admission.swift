import Failures
import Glibc

/// Who may write an artifact: one process all of it, or several their shares. They come in one at a
/// time, so that each sees whom there is.
struct Admission {
  private static let gateName = Lease.prefix + "-opening"

  let directory: String
  let share: Share
  let identity: String
  let patience: Duration

  /// Calls `body`, while nobody else comes in, and takes the lease.
  /// - Parameter body: gets what finds the folder's other writers, none of whom has a shard of this share
  /// - Throws: 73 where another program writes one of these shards, what `body` throws.
  func enter(_ body: (_ others: () throws -> [Holder]) throws -> Void = { _ in }) throws -> Lease {
    let gate = try pass()
    defer { withExtendedLifetime(gate) {} }
    if let other = try holders(where: { $0?.share.overlaps(share) ?? true }).first {
      throw taken(other)
    }
    try body { try holders(where: { _ in true }) }
    let path = Files.join(directory, leaseName)
    guard let lease = try Lease(path, share: share, identity: identity) else {
      throw taken(Holder(path))
    }
    return lease
  }

  private var leaseName: String {
    share == .all ? Lease.prefix : "\(Lease.prefix)-\(share.name)"
  }

  private func taken(_ holder: Holder?) -> Failure {
    Failure(
      .cannotCreate, "another program is writing this artifact", at: directory,
      found: holder?.description, advice: "Wait until it has ended")
  }

  /// Those of the wanted ones who live; what others left is removed.
  private func holders(where isWanted: (Holder?) -> Bool) throws -> [Holder] {
    let paths = try Files.list(directory).filter(Admission.isLease)
      .map { Files.join(directory, $0) }.filter { isWanted(Holder($0)) }
    let living = Holder.living(paths, patience: patience)
    for path in paths where !living.contains(path) { Admission.clear(path) }
    return living.compactMap { Holder($0) }
  }

  static func isLease(_ name: String) -> Bool {
    name == Lease.prefix
      || name.hasPrefix(Lease.prefix + "-") && name != gateName
        && Share(name: name.dropFirst(Lease.prefix.count + 1)) != nil
  }

  /// The gate: waited for, since nobody stays there long.
  private func pass() throws -> Lease {
    let path = Files.join(directory, Admission.gateName)
    let begun = ContinuousClock.now
    while true {
      if let gate = try Lease(path, share: share, identity: identity) { return gate }
      if let holder = Holder(path), holder.lives == true {
        guard begun.duration(to: .now) < .seconds(600) else { throw taken(holder) }
        Lease.sleep(.milliseconds(20))
      } else if Holder.living([path], patience: patience).isEmpty {
        Admission.clear(path)
      }
    }
  }

  /// Removes the lease of a holder that is dead, and no other's: between a look and a removal it may
  /// have become somebody's who lives.
  private static func clear(_ path: String) {
    let dead = Holder(path)?.token
    let aside = path + ".\(ProcessTag.own)\(OutputFile.suffix)"
    guard rename(path, aside) == 0 else { return }
    if Holder(aside)?.token != dead { link(aside, path) }
    unlink(aside)
  }

  /// Who writes in a folder now, for those who only look. A dead one may be among them where another
  /// machine's was.
  static func writers(in directory: String) -> [Holder] {
    ((try? Files.list(directory)) ?? []).filter(isLease)
      .compactMap { Holder(Files.join(directory, $0)) }.filter { $0.lives != false }
  }
}

import Foundation

/// What the process's control groups leave it: its own and all that these lie in, a Slurm job's say, of
/// version 1 and of version 2 (cgroups(7)).
struct ControlGroups {
  /// Bytes of memory; nil without a limit.
  let memory: Int?
  /// Processors' worth of time, rounded up; nil without a quota.
  let processors: Int?

  static let own = ControlGroups(
    groups: text("/proc/self/cgroup") ?? "", mounts: text("/proc/self/mountinfo") ?? "",
    read: text)

  /// - Parameters:
  ///   - groups: of /proc/self/cgroup, `hierarchy:controllers:path` in each line
  ///   - mounts: of /proc/self/mountinfo, which says where each hierarchy, from which of its groups on,
  ///     can be seen
  ///   - read: the content of a file; nil where there is none
  init(groups: String, mounts: String, read: (String) -> String?) {
    var memory: [Int] = []
    var processors: [Double] = []
    let seen = mounts.split(separator: "\n").compactMap { Mount($0) }
    for line in groups.split(separator: "\n") {
      let words = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard words.count == 3 else { continue }
      let controllers = words[1].split(separator: ",").map(String.init)
      let mount = seen.first {
        controllers.isEmpty ? $0.isUnified : !$0.controllers.isDisjoint(with: controllers)
      }
      guard let mount else { continue }
      for folder in mount.folders(of: String(words[2])) {
        func number(_ name: String) -> Int? {
          read("\(folder)/\(name)").flatMap { Int($0.trimmed) }
        }
        if mount.isUnified {
          if let most = number("memory.max") { memory.append(most) }
          let quota = (read("\(folder)/cpu.max") ?? "").split { $0 == " " || $0 == "\n" }
            .compactMap { Double($0) }
          if quota.count == 2, quota[1] > 0 { processors.append(quota[0] / quota[1]) }
          continue
        }
        if controllers.contains("memory"), let most = number("memory.limit_in_bytes"),
          // "None" is the largest number of whole pages.
          most < 1 << 60
        {
          memory.append(most)
        }
        if controllers.contains("cpu"), let quota = number("cpu.cfs_quota_us"), quota > 0,
          let period = number("cpu.cfs_period_us"), period > 0
        {
          processors.append(Double(quota) / Double(period))
        }
      }
    }
    self.memory = memory.min()
    self.processors = processors.min().map { max(1, Int($0.rounded(.up))) }
  }

  /// Files of /proc and /sys have no size: they are read to their end.
  private static func text(_ path: String) -> String? {
    try? String(contentsOfFile: path, encoding: .utf8)
  }
}

/// A place where a hierarchy of groups can be seen.
private struct Mount {
  /// The group that is seen at the place, which a container's own one is.
  let root: String
  let place: String
  let isUnified: Bool
  let controllers: Set<String>

  /// `36 35 98:0 /root /place options… - type source options`; nil for no control groups.
  init?(_ line: Substring) {
    let halves = line.components(separatedBy: " - ")
    guard halves.count == 2 else { return nil }
    let (front, back) = (halves[0].split(separator: " "), halves[1].split(separator: " "))
    guard front.count > 4, back.count > 2, ["cgroup", "cgroup2"].contains(back[0]) else {
      return nil
    }
    root = String(front[3])
    place = String(front[4])
    isUnified = back[0] == "cgroup2"
    controllers = Set(back[2].split(separator: ",").map(String.init))
  }

  /// The folders of a group and of all that it lies in, as far as they can be seen.
  func folders(of group: String) -> [String] {
    var path = group
    if root != "/" {
      // A group outside of what is mounted is not seen; the mount's own is the nearest.
      path = path == root || path.hasPrefix(root + "/") ? String(path.dropFirst(root.count)) : ""
    }
    var parts = path.split(separator: "/").map(String.init).filter { $0 != ".." }
    var folders = [place]
    while !parts.isEmpty {
      folders.append(([place] + parts).joined(separator: "/"))
      parts.removeLast()
    }
    return folders
  }
}

extension String {
  fileprivate var trimmed: String { trimmingCharacters(in: .whitespacesAndNewlines) }
}

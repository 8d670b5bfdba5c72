import Glibc

/// What the shell's `ulimit` leaves to the process, in bytes; nil without a limit.
public enum ResourceLimit {
  /// `ulimit -v`.
  public static var addressSpace: Int? { bytes(RLIMIT_AS) }
  /// `ulimit -f`.
  public static var fileSize: Int? { bytes(RLIMIT_FSIZE) }

  private static func bytes(_ resource: __rlimit_resource) -> Int? {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(resource.rawValue), &limit) == 0 else { return nil }
    return Int(exactly: limit.rlim_cur)
  }
}

import Foundation

/// Numbers as people read them.
enum Format {
  /// `12,345`
  /// 7.6 billion, 1.54 million, 97,000.
  static func large(_ number: Int) -> String {
    for (size, name) in [(1e9, "billion"), (1e6, "million")] where Double(number) >= size {
      return "\(significant(Double(number) / size)) \(name)"
    }
    return count(number)
  }

  static func count(_ number: Int) -> String {
    var digits = Array(String(number.magnitude))
    var place = digits.count - 3
    while place > 0 {
      digits.insert(",", at: place)
      place -= 3
    }
    return (number < 0 ? "-" : "") + String(digits)
  }

  static func fixed(_ number: Double, _ digits: Int) -> String {
    guard number.isFinite else { return "–" }
    let text = String(format: "%.\(digits)f", number)
    // "-0.0" says a sign that is not there.
    return text.allSatisfy { "-0.".contains($0) } ? text.replacing("-", with: "") : text
  }

  /// A number with as many digits as its size asks for: an axis' tick, a loss.
  static func short(_ number: Double) -> String {
    guard number.isFinite else { return "–" }
    let text = String(format: "%.4g", number)
    let plain = (1000..<1e15).contains(abs(number)) ? count(Int(number.rounded())) : text
    // A true minus, not a hyphen; an exponent keeps its own.
    return plain.hasPrefix("-") ? "−" + plain.dropFirst() : plain
  }

  /// Three significant digits, whatever the size: a norm, a loss.
  static func significant(_ number: Double) -> String {
    guard number.isFinite else { return "–" }
    if number == 0 { return "0" }
    let size = Int(log10(abs(number)).rounded(.down))
    guard (-4...5).contains(size) else { return String(format: "%.2e", number) }
    return size > 2 ? short(number) : fixed(number, 2 - size)
  }

  /// A share, 0 to 1, as a percentage with one digit.
  static func percent(_ share: Double) -> String { fixed(100 * share, 1) }

  /// With its sign; a true minus, not a hyphen.
  static func signed(_ number: Double, _ digits: Int = 1) -> String {
    let text = fixed(abs(number), digits)
    if text.allSatisfy({ "0.".contains($0) }) { return text }
    return (number < 0 ? "−" : "+") + text
  }

  /// `3.4 MB`
  static func bytes(_ count: Int) -> String {
    var value = Double(count)
    for unit in ["B", "kB", "MB", "GB"] {
      if value < 999.5 { return "\(fixed(value, unit == "B" || value >= 99.95 ? 0 : 1)) \(unit)" }
      value /= 1000
    }
    return "\(fixed(value, 1)) TB"
  }

  /// `2 min 05 s`
  static func duration(_ seconds: Double) -> String {
    guard seconds.isFinite else { return "–" }
    if seconds < 9.95 { return "\(fixed(max(0, seconds), 1)) s" }
    let whole = Int(min(seconds, 1e12).rounded())
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    if whole < 60 { return "\(whole) s" }
    if whole < 3600 { return "\(whole / 60) min \(two(whole % 60)) s" }
    return "\(whole / 3600) h \(two(whole / 60 % 60)) min"
  }
}

import Tensors

/// What one generated person looks like on every picture: build, hair, clothes, bag.
struct Appearance {
  enum Pattern: CaseIterable { case plain, plainAgain, bands, pinstripes, lowerHalf, checks, chest }
  enum Legs: CaseIterable { case trousers, trousersAgain, shorts, skirt }
  enum Hair: CaseIterable { case short, long, bald, cap }
  enum Bag: CaseIterable { case none, backpack, shoulder }
  /// What holds of a person or does not.
  enum Attribute: CaseIterable {
    case longSleeves, patterned, trousers, skirt, backpack, shoulderBag, longHair, bald, cap
  }

  let skin: Color, hairColor: Color, hair: Hair
  let upper: Color, upperSecond: Color, pattern: Pattern, longSleeves: Bool
  let lower: Color, legs: Legs, shoes: Color
  let bag: Bag, bagColor: Color
  /// Factors of width and height.
  let build: Float, stature: Float

  /// The person's attributes, drawn from `random` in a fixed order.
  init(_ random: inout CounterRandom) {
    skin = Self.pick(Self.skins, jitter: 0.03, &random)
    hairColor = Self.pick(Self.hairColors, jitter: 0.03, &random)
    hair = Self.pick(Hair.allCases, &random)
    upper = Self.pick(Self.cloths, jitter: 0.06, &random)
    upperSecond = Self.pick(Self.cloths, jitter: 0.06, &random)
    pattern = Self.pick(Pattern.allCases, &random)
    longSleeves = random.uniform() < 0.55
    lower = Self.pick(Self.cloths, jitter: 0.06, &random)
    legs = Self.pick(Legs.allCases, &random)
    shoes = Self.pick(Self.cloths, jitter: 0.04, &random)
    bag = Self.pick(Bag.allCases, &random)
    bagColor = Self.pick(Self.cloths, jitter: 0.06, &random)
    build = Float(random.uniform(0.85, 1.2))
    stature = Float(random.uniform(0.92, 1.05))
  }

  /// A digit for each attribute, 1 where it holds.
  var attributes: String { Attribute.allCases.map { has($0) ? "1" : "0" }.joined() }

  private func has(_ attribute: Attribute) -> Bool {
    switch attribute {
    case .longSleeves: longSleeves
    case .patterned: pattern != .plain && pattern != .plainAgain
    case .trousers: legs == .trousers || legs == .trousersAgain
    case .skirt: legs == .skirt
    case .backpack: bag == .backpack
    case .shoulderBag: bag == .shoulder
    case .longHair: hair == .long
    case .bald: hair == .bald
    case .cap: hair == .cap
    }
  }

  /// The colour of the upper cloth at `p`, in units of the person's height from the top of the head.
  func upperColor(_ p: Point) -> Color {
    let second: Bool
    switch pattern {
    case .plain, .plainAgain: second = false
    case .bands: second = Int((p.y / 0.035).rounded(.down)) % 2 == 0
    case .pinstripes: second = Int(((p.x + 1) / 0.022).rounded(.down)) % 2 == 0
    case .lowerHalf: second = p.y > 0.34
    case .checks: second = (Int((p.y / 0.05).rounded(.down)) + Int(((p.x + 1) / 0.05).rounded(.down))) % 2 == 0
    case .chest: second = abs(p.x) < 0.05 && p.y > 0.22 && p.y < 0.31
    }
    return second ? upperSecond : upper
  }

  private static func pick<T>(_ items: [T], _ random: inout CounterRandom) -> T {
    items[random.integer(below: items.count)]
  }

  private static func pick(_ colors: [Color], jitter: Double, _ random: inout CounterRandom) -> Color {
    let color = colors[random.integer(below: colors.count)]
    let offset = Color(
      Float(random.uniform(-jitter, jitter)), Float(random.uniform(-jitter, jitter)),
      Float(random.uniform(-jitter, jitter)))
    return (color + offset).clamped(lowerBound: .zero, upperBound: .one)
  }

  private static let skins: [Color] = [
    Color(0.94, 0.80, 0.70), Color(0.87, 0.69, 0.56), Color(0.72, 0.53, 0.40), Color(0.52, 0.36, 0.26),
    Color(0.35, 0.24, 0.18),
  ]
  private static let hairColors: [Color] = [
    Color(0.08, 0.07, 0.07), Color(0.24, 0.15, 0.09), Color(0.45, 0.28, 0.14), Color(0.80, 0.66, 0.38),
    Color(0.60, 0.60, 0.60), Color(0.55, 0.18, 0.08),
  ]
  private static let cloths: [Color] = [
    Color(0.10, 0.10, 0.11), Color(0.92, 0.92, 0.90), Color(0.50, 0.50, 0.52), Color(0.78, 0.12, 0.12),
    Color(0.12, 0.20, 0.50), Color(0.35, 0.58, 0.85), Color(0.12, 0.45, 0.20), Color(0.55, 0.75, 0.25),
    Color(0.92, 0.80, 0.18), Color(0.92, 0.50, 0.12), Color(0.48, 0.20, 0.55), Color(0.92, 0.58, 0.70),
    Color(0.42, 0.27, 0.15), Color(0.76, 0.66, 0.50), Color(0.10, 0.50, 0.52), Color(0.42, 0.08, 0.16),
  ]
}

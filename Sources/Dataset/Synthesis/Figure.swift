import Foundation
import Tensors

/// How a person stands on one picture.
struct Pose {
  enum View: String, CaseIterable { case front, back, left, right }

  let view: View
  /// The swing of the legs and of the arms, radians.
  let stride: Float, swing: Float
  /// Sideways lean, in units of the height at the head.
  let lean: Float

  init(_ random: inout CounterRandom) {
    view = View.allCases[random.integer(below: View.allCases.count)]
    stride = Float(random.uniform(-0.38, 0.38))
    swing = Float(random.uniform(-0.45, 0.45))
    lean = Float(random.uniform(-0.02, 0.02))
  }
}

/// Paints a person on a canvas. Coordinates: units of the height, x from the body's axis, y from the top of the head
/// (0) to the soles (1).
struct Figure {
  let person: Appearance
  let pose: Pose

  func paint(on canvas: inout Canvas) {
    let side = pose.view == .left || pose.view == .right
    let facing: Float = pose.view == .left ? -1 : 1
    // From the side a body is narrower, and what swings, swings in the picture's plane.
    let depth: Float = side ? 0.68 : 1, motion: Float = side ? 1 : 0.35
    let shoulder = 0.128 * person.build * depth, hip = 0.104 * person.build * depth

    if side { arm(-1, shoulder: 0, angle: -pose.swing, on: &canvas) }
    if person.bag == .backpack && side {
      let edge = -facing * shoulder
      box(edge - 0.05, 0.19, edge + 0.05, 0.38, person.bagColor, on: &canvas)
    }
    leg(-1, hip: hip, angle: -pose.stride * motion, on: &canvas)
    leg(1, hip: hip, angle: pose.stride * motion, on: &canvas)
    if person.legs == .skirt {
      let skirt = Shape.trapezoid(x: 0, top: 0.47, bottom: 0.68, topHalf: hip, bottomHalf: hip * 1.5)
      canvas.fill(skirt) { shade(person.lower, $0.x / 0.15) }
    }

    // Shoulders, chest, and the neck above them.
    canvas.fill(.box(low: Point(-0.025, 0.10), high: Point(0.025, 0.18))) { _ in person.skin * 0.9 }
    let logoTurned = pose.view == .back && person.pattern == .chest
    let cloth = { (p: Point) in
      shade(logoTurned ? person.upper : person.upperColor(p), p.x / 0.16)
    }
    let slope = Shape.limb(
      from: Point(-shoulder * 0.75, 0.185), to: Point(shoulder * 0.75, 0.185), startRadius: 0.034, endRadius: 0.034)
    canvas.fill(slope, cloth)
    canvas.fill(.trapezoid(x: 0, top: 0.18, bottom: 0.50, topHalf: shoulder, bottomHalf: hip * 1.05), cloth)

    if person.bag == .backpack && pose.view == .back {
      box(-0.085 * person.build, 0.19, 0.085 * person.build, 0.39, person.bagColor, on: &canvas)
    } else if person.bag == .backpack && pose.view == .front {
      for sign: Float in [-1, 1] {
        box(sign * 0.07 - 0.014, 0.16, sign * 0.07 + 0.014, 0.33, person.bagColor, on: &canvas)
      }
    }
    if side {
      arm(1, shoulder: 0, angle: pose.swing, on: &canvas)
    } else {
      arm(-1, shoulder: shoulder, angle: -pose.swing * motion, on: &canvas)
      arm(1, shoulder: shoulder, angle: pose.swing * motion, on: &canvas)
    }
    if person.bag == .shoulder {
      let hand: Float = pose.view == .back ? 1 : -1
      let x = side ? 0 : hand * (shoulder + 0.015)
      let strap = Shape.limb(
        from: Point(-x * 0.7, 0.17), to: Point(x, 0.44), startRadius: 0.010, endRadius: 0.010)
      canvas.fill(strap) { _ in person.bagColor * 0.8 }
      box(x - 0.055, 0.43, x + 0.055, 0.54, person.bagColor, on: &canvas)
    }
    head(side: side, facing: facing, on: &canvas)
  }

  private func leg(_ sign: Float, hip: Float, angle: Float, on canvas: inout Canvas) {
    let start = Point(sign * hip * 0.5, 0.50)
    let knee = start + 0.24 * Point(sin(angle), cos(angle))
    let foot = knee + 0.22 * Point(sin(angle * 0.6), cos(angle * 0.6))
    let thigh = 0.056 * person.build, calf = 0.040 * person.build
    let bare = person.legs == .shorts || person.legs == .skirt
    let tone: Float = sign < 0 ? 0.85 : 1
    let covered = bare ? (person.legs == .skirt ? start : start + (knee - start) * 0.75) : foot
    canvas.fill(.limb(from: start, to: knee, startRadius: thigh, endRadius: calf)) { _ in person.skin * tone }
    canvas.fill(.limb(from: knee, to: foot, startRadius: calf, endRadius: calf * 0.8)) { _ in person.skin * tone }
    let cloth = { (_: Point) in person.lower * tone }
    if bare {
      canvas.fill(.limb(from: start, to: covered, startRadius: thigh * 1.12, endRadius: thigh * 1.08), cloth)
    } else {
      canvas.fill(.limb(from: start, to: knee, startRadius: thigh * 1.05, endRadius: calf * 1.15), cloth)
      canvas.fill(.limb(from: knee, to: foot, startRadius: calf * 1.15, endRadius: calf), cloth)
    }
    let toe = pose.view == .left ? Float(-0.05) : pose.view == .right ? 0.05 : sign * 0.012
    canvas.fill(.limb(from: foot, to: foot + Point(toe, 0.012), startRadius: 0.026, endRadius: 0.022)) { _ in
      person.shoes * tone
    }
  }

  private func arm(_ sign: Float, shoulder: Float, angle: Float, on canvas: inout Canvas) {
    let start = Point(sign * shoulder, 0.195)
    let outward = shoulder == 0 ? 0 : sign * 0.12
    let elbow = start + 0.16 * Point(sin(angle + outward), cos(angle + outward))
    let hand = elbow + 0.15 * Point(sin(angle * 1.5), cos(angle * 1.5))
    let radius = 0.034 * person.build, tone: Float = sign < 0 ? 0.85 : 0.95
    canvas.fill(.limb(from: elbow, to: hand, startRadius: radius * 0.8, endRadius: radius * 0.7)) { _ in
      person.skin * tone
    }
    canvas.fill(.ellipse(center: hand, radii: Point(0.022, 0.026))) { _ in person.skin * tone }
    // Sleeves repeat the colour of the chest at their height, so that bands run through.
    let sleeve = { (p: Point) in
      (person.pattern == .bands || person.pattern == .lowerHalf ? person.upperColor(p) : person.upper) * tone
    }
    canvas.fill(.limb(from: start, to: elbow, startRadius: radius * 1.15, endRadius: radius), sleeve)
    if person.longSleeves {
      let cuff = elbow + (hand - elbow) * 0.85
      canvas.fill(.limb(from: elbow, to: cuff, startRadius: radius, endRadius: radius * 0.85), sleeve)
    }
  }

  private var headEllipse: (center: Point, radii: Point) { (Point(pose.lean, 0.075), Point(0.050, 0.066)) }

  /// The ellipse of the head; nil where it is seen from behind.
  var face: Shape? { pose.view == .back ? nil : .ellipse(center: headEllipse.center, radii: headEllipse.radii) }

  private func head(side: Bool, facing: Float, on canvas: inout Canvas) {
    let (center, radii) = headEllipse
    if person.hair == .long {
      let fall = Point(center.x - (side ? facing * 0.025 : 0), 0.115)
      canvas.fill(.ellipse(center: fall, radii: Point(0.058, 0.085))) { _ in person.hairColor }
    }
    canvas.fill(.ellipse(center: center, radii: radii)) { shade(person.skin, ($0.x - center.x) / 0.07) }
    switch person.hair {
    case .bald: break
    case .short, .long:
      if pose.view == .back {
        canvas.fill(.ellipse(center: center - Point(0, 0.008), radii: radii * 1.06)) { _ in person.hairColor }
      } else {
        let crown = center - Point(side ? facing * 0.016 : 0, 0.036)
        canvas.fill(.ellipse(center: crown, radii: Point(0.052, 0.038))) { _ in person.hairColor }
      }
    case .cap:
      let crown = center - Point(0, 0.034)
      canvas.fill(.ellipse(center: crown, radii: Point(0.055, 0.042))) { _ in person.upperSecond }
      if pose.view != .back {
        let peak = crown + Point(side ? facing * 0.045 : 0, 0.028)
        canvas.fill(.ellipse(center: peak, radii: Point(0.048, 0.012))) { _ in person.upperSecond * 0.7 }
      }
    }
    if pose.view == .front {
      for x: Float in [-0.018, 0.018] {
        let eye = Shape.ellipse(center: center + Point(x, 0.008), radii: Point(0.007, 0.005))
        canvas.fill(eye) { _ in Color(0.1, 0.1, 0.1) }
      }
    }
  }

  private func box(
    _ left: Float, _ top: Float, _ right: Float, _ bottom: Float, _ color: Color, on canvas: inout Canvas
  ) {
    canvas.fill(.box(low: Point(left, top), high: Point(right, bottom))) { color * ($0.y > bottom - 0.03 ? 0.8 : 1) }
  }

  /// Darker towards the sides of a round body; `across` is −1...1.
  private func shade(_ color: Color, _ across: Float) -> Color { color * (1 - 0.22 * across * across) }
}

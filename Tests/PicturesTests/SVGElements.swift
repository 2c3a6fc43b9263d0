import Foundation
import FoundationXML

/// The elements of an XML text in the order of their beginnings; nil of one that is not well-formed.
struct SVGElements {
  struct Element {
    let name: String, attributes: [String: String]
    var text = ""
  }

  let all: [Element]

  init?(_ text: String) {
    let parser = XMLParser(data: Data(text.utf8)), reader = Reader()
    parser.delegate = reader
    guard parser.parse() else { return nil }
    all = reader.elements
  }

  func named(_ name: String) -> [Element] { all.filter { $0.name == name } }

  private final class Reader: NSObject, XMLParserDelegate {
    var elements: [Element] = []
    private var open: [Int] = []

    func parser(
      _ parser: XMLParser, didStartElement name: String, namespaceURI: String?, qualifiedName qName: String?,
      attributes attributeDict: [String: String]
    ) {
      open.append(elements.count)
      elements.append(Element(name: name, attributes: attributeDict))
    }

    func parser(
      _ parser: XMLParser, didEndElement elementName: String, namespaceURI: String?, qualifiedName qName: String?
    ) { open.removeLast() }

    func parser(_ parser: XMLParser, foundCharacters string: String) {
      if let last = open.last { elements[last].text += string }
    }
  }
}

Creator "Topology Zoo Toolset"
Version "1.0"
graph [
  DateObtained "22/10/10"
  GeoLocation "Europe"
  node [
    id 0
    label "Vienna"
    Latitude 48.20849
  ]
  node [
    id 1
    label "Prague"
  ]
  edge [
    source 0
    target 1
    LinkLabel "10 Gbps"
  ]
]

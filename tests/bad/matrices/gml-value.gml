graph [
  node [ id ] ]
]

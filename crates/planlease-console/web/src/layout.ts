// Where the nodes of a graph stand, worked out off the main thread.

import { Graph, layout } from '@dagrejs/dagre';

export interface LayoutRequest {
  key: number;
  nodes: { id: string; width: number; height: number }[];
  edges: { from: string; to: string }[];
}

export interface LayoutAnswer {
  key: number;
  width: number;
  height: number;
  nodes: Record<string, { x: number; y: number }>;
  edges: { from: string; to: string; points: { x: number; y: number }[] }[];
}

function place({ key, nodes, edges }: LayoutRequest): LayoutAnswer {
  const graph = new Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: 12, ranksep: 44, marginx: 20, marginy: 20 });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of nodes) graph.setNode(id, { width, height });
  for (const { from, to } of edges) graph.setEdge(from, to);
  layout(graph);
  const { width = 0, height = 0 } = graph.graph() as { width?: number; height?: number };
  const placed: LayoutAnswer['nodes'] = {};
  for (const id of graph.nodes()) {
    const { x, y } = graph.node(id) as { x: number; y: number };
    placed[id] = { x, y };
  }
  const lines = graph.edges().map((edge) => {
    const { points } = graph.edge(edge) as { points: { x: number; y: number }[] };
    return { from: edge.v, to: edge.w, points };
  });
  return { key, width, height, nodes: placed, edges: lines };
}

self.onmessage = (message: MessageEvent<LayoutRequest>): void => {
  self.postMessage(place(message.data));
};

// The documents of the interface that the page reads (docs/json.md), as far as it uses them.

/** Whether a plan goes on by itself, and if not, what it needs, in one word. */
export type PlanState =
  | 'needs_decision'
  | 'failed'
  | 'stuck'
  | 'running'
  | 'waiting'
  | 'paused'
  | 'done'
  | 'cancelled'
  | 'archived';

export type Status = 'pending' | 'in_progress' | 'completed' | 'failed' | 'skipped';

export interface Summary {
  total: number;
  pending: number;
  in_progress: number;
  completed: number;
  failed: number;
  skipped: number;
  unreadable?: number;
}

export interface Claim {
  by: string;
  term: number | null;
  since: string;
  limit_s: number | null;
}

/** What becomes of a task whose attempt is cancelled. */
export type Then = 'skip' | 'fail' | 'retry';

export interface Cancel {
  by: string;
  at: string;
  why: string;
  then: Then;
}

/** The approval of a task by a person. */
export interface Approval {
  /** What is approved: each attempt before it starts, or its result. */
  of: 'before' | 'after' | null;
  /** The attempt that waits for approval. */
  waits: number | null;
  question?: string;
}

export interface TaskRecord {
  status: Status;
  revision: number;
  attempt: number;
  failures: number;
  lost: number;
  claim: Claim | null;
  cancel?: Cancel | null;
  approval?: Approval | null;
  progress: string | null;
  notes: string | null;
  error: string | null;
  skip_reason: string | null;
  parked: string | null;
  started_at: string | null;
  ended_at: string | null;
  written_by: string;
}

export interface Task extends TaskRecord {
  task: string;
  description: string;
  depends_on: string[];
}

export interface Owner {
  orchestrator: string;
  host: string;
  pid: number;
  since: string;
  term: number;
  token: string;
}

export interface Waiting {
  position: number;
  name: string;
  host: string | null;
}

export interface TermEnd {
  at: string;
  how: 'clean' | 'handed_over' | 'unclean' | 'forced';
  to?: string;
  by?: string;
  reason?: string;
}

export interface Term {
  term: number;
  token: string;
  orchestrator: string;
  host: string;
  since: string;
  ended: TermEnd | null;
}

export interface Ownership {
  owner: Owner | null;
  waiting: Waiting[];
  last_term: Term | null;
}

export interface Halted {
  how: 'paused' | 'cancelled' | 'archived';
  by: string;
  at: string;
  why: string;
}

export interface PlanContents extends Ownership {
  plan: string;
  title: string;
  state: PlanState;
  halted: Halted | null;
  summary: Summary;
  tasks: Task[];
}

export interface Snapshot {
  revision: number;
  plans: PlanContents[];
}

export type Change = { at: string | null } & (
  | ({ change: 'plan_appeared' } & PlanContents)
  | { change: 'plan_gone'; plan: string }
  | ({ change: 'task'; plan: string; task: string; before: Status | null } & TaskRecord)
  | { change: 'task_gone'; plan: string; task: string }
  | { change: 'redefined'; plan: string; title: string; tasks: number }
  | { change: 'findings'; plan: string; task: string; written_at: number | null }
  | { change: 'halted'; plan: string; halted: Halted | null }
  | ({
      change: 'ownership';
      plan: string;
      what: string;
      orchestrator: string | null;
      token: string | null;
      to: string | null;
      by: string | null;
      reason: string | null;
    } & Ownership)
  | { change: 'orchestrator_appeared'; orchestrator: string; host: string }
  | { change: 'orchestrator_changed'; orchestrator: string; load: Load | null }
  | { change: 'orchestrator_gone'; orchestrator: string }
  | { change: 'unreadable'; key: string; reason: string | null }
  | { change: 'other' }
);

export interface Changes {
  revision: number;
  changes: Change[];
  states?: Record<string, PlanState>;
}

export interface Load {
  plans: number;
  running: number;
  free: number;
}

export type Eligibility = 'eligible' | 'cordoned' | 'draining';

export interface Orchestrator {
  orchestrator: string;
  host: string;
  pid: number;
  version: string;
  state: Eligibility;
  since: string;
  ttl_s: number | null;
  renewed_ago_s: number | null;
  owns: string[];
  runs: { can: string[]; plans: string[] | null; select: string; task_select: string } | null;
  load: Load | null;
}

/** What is asked of the whole fleet. */
export interface FleetAsked {
  paused: Halted | null;
  cordons: { orchestrator: string; state: Eligibility; deadline_s: number | null; by: string; at: string; why: string }[];
  moves: Move[];
}

export interface Move {
  plan: string;
  from: string;
  to: string;
  deadline_s: number;
  by: string;
  why: string;
}

/** An event about the output of a task; which fields are there depends on the event. */
export interface LogEvent {
  attempt: number;
  by?: string;
  source?: 'files' | 'host';
  at?: string;
  offset?: number;
  text?: string;
  bytes?: number;
  how?: string;
  why?: string;
}

export interface Needed {
  need: 'decision' | 'approval' | 'failed' | 'lost' | 'unowned' | 'unrunnable';
  plan: string;
  task: string | null;
  description: string;
  what: string;
  since: string | null;
}

export interface Worktree {
  name: string;
  host: string;
  state: string;
  abandoned: boolean;
  path: string;
  plan: string;
  task: string | null;
  since: string;
}

export interface Estimate {
  remaining_s: number;
  critical_s: number;
  critical_path: string[];
  stuck: string[];
}

export interface Definition {
  phases: { number: string; name: string }[];
  tasks: { id: string; phase: string | null; description: string; depends_on: string[]; command: string[] | null }[];
}

export interface PlanStatus {
  ready: string[];
  in_progress: { task: string; claimant_gone: boolean }[];
}

export interface Deps {
  tasks: { task: string; waits: { on: string; why: string }[] }[];
}

export interface Transition {
  at: string;
  from: Status;
  to: Status;
  attempt: number;
  by: string;
  why: string | null;
}

export interface TaskDetail extends Task {
  phase: string | null;
  blocked_by: string[];
  steps: string[];
  command: string[] | null;
  claimant_gone: boolean;
  transitions: Transition[];
  findings: { attempt: number; bytes: number; text: string } | null;
  output: { attempt: number; bytes: number; text: string } | null;
}

export interface WhyTask {
  rule: string;
  now: string;
  next: string;
  late: { at: string; attempt: number | null; status: Status; by: string; said: string | null; refused: string }[];
}

export interface WhyPlan {
  now: string;
  next: string;
  held: string[];
  lost: string[];
}

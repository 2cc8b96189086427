import { readdirSync, readFileSync, statSync } from "node:fs";
import { Counter, Gauge, type Registry } from "prom-client";
import { armedTimers, type Clock } from "../core/clock.ts";
import { restedTime } from "../core/rest.ts";

/**
 * Registers what is known of the process, under the names that every dashboard has. They are read on scrape, in some 50 µs.
 *
 * prom-client's own default metrics are not used: they measure the event loop's delay with a timer of 10 ms, which wakes an
 * idle sidecar 98 times a second (0.3 % of a core), and they list every socket on every scrape. How busy the loop is, is
 * told by two counters that cost nothing.
 */
export function registerProcessMetrics(registry: Registry, version: string, clock: Clock): void {
  const startedAt = clock.wall() / 1000 - process.uptime();
  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        const value = read();
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  };
  const counter = (name: string, help: string, read: () => number): void => {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset();
        this.inc(read());
      },
    });
  };
  new Gauge({
    name: "outrigger_build_info",
    help: "The version of this program and of the Node.js that it runs on; the value is always 1.",
    labelNames: ["version", "node"],
    registers: [registry],
  }).set({ version, node: process.versions.node }, 1);

  const cpu = (): NodeJS.CpuUsage => process.cpuUsage();
  counter("process_cpu_user_seconds_total", "User CPU time spent.", () => cpu().user / 1e6);
  counter("process_cpu_system_seconds_total", "System CPU time spent.", () => cpu().system / 1e6);
  counter("process_cpu_seconds_total", "User and system CPU time spent.", () => (cpu().user + cpu().system) / 1e6);
  gauge("process_start_time_seconds", "Start of the process since the Unix epoch.", () => startedAt);
  gauge("process_resident_memory_bytes", "Resident memory.", () => process.memoryUsage.rss());
  gauge("process_virtual_memory_bytes", "Virtual memory.", virtualMemory);
  gauge("process_open_fds", "Open file descriptors.", openDescriptors);
  gauge("process_max_fds", "File descriptors that may be open.", descriptorLimit);
  gauge("nodejs_heap_size_total_bytes", "Size of the JavaScript heap.", () => process.memoryUsage().heapTotal);
  gauge("nodejs_heap_size_used_bytes", "Used part of the JavaScript heap.", () => process.memoryUsage().heapUsed);
  gauge("nodejs_external_memory_bytes", "Memory of buffers outside the heap.", () => process.memoryUsage().external);
  gauge("outrigger_timers", "Timers that are armed; those of calls' deadlines count as one.", armedTimers);
  counter("nodejs_eventloop_active_seconds_total", "Time in which the event loop was at work.", () => {
    return (performance.eventLoopUtilization().active - restedTime()) / 1000;
  });
  counter("nodejs_eventloop_idle_seconds_total", "Time in which the event loop had nothing to do.", () => {
    return (performance.eventLoopUtilization().idle + restedTime()) / 1000;
  });
}

/** Reads a file of /proc/self; undefined on systems that have none. */
function proc<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}

function virtualMemory(): number | undefined {
  const status = proc(() => readFileSync("/proc/self/status", "latin1"));
  const kibibytes = /^VmSize:\s+(\d+) kB$/m.exec(status ?? "")?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}

/** Since Linux 6.2 the folder's size is the count; reading 10,000 entries takes 6 ms, asking for the size 6 µs. */
function openDescriptors(): number | undefined {
  return proc(() => statSync("/proc/self/fd").size || readdirSync("/proc/self/fd").length);
}

function descriptorLimit(): number | undefined {
  const limits = proc(() => readFileSync("/proc/self/limits", "latin1"));
  const soft = /^Max open files\s+(\d+)/m.exec(limits ?? "")?.[1];
  return soft === undefined ? undefined : Number(soft);
}

CREATE TABLE `counters` (
	`name` text NOT NULL,
	`label` text NOT NULL,
	`value` integer NOT NULL,
	PRIMARY KEY(`name`, `label`)
);
--> statement-breakpoint
ALTER TABLE `instance_status` ADD `machines` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `burn_micro_usd_per_hour` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `unpriced_machines` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `machine_micro_usd` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `traffic_micro_usd` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `storage_micro_usd` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `avoided_micro_usd` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `stored_bytes` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `last_report_at` text;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `clock_skew_ms` integer;--> statement-breakpoint
ALTER TABLE `instance_status` ADD `trouble_code` text;
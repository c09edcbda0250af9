CREATE TABLE `api_tokens` (
	`id` text PRIMARY KEY NOT NULL,
	`user_id` text NOT NULL,
	`name` text NOT NULL,
	`hash` text NOT NULL,
	`created_at` text NOT NULL,
	`expires_at` text,
	FOREIGN KEY (`user_id`) REFERENCES `users`(`id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE UNIQUE INDEX `api_tokens_hash_unique` ON `api_tokens` (`hash`);--> statement-breakpoint
CREATE INDEX `idx_api_tokens_user` ON `api_tokens` (`user_id`);--> statement-breakpoint
CREATE TABLE `hibernation_events` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`instance_id` text(100) NOT NULL,
	`event_type` text(50) NOT NULL,
	`timestamp` text NOT NULL,
	`gpu_utilization` real,
	`snapshot_id` text(200),
	`reason` text(500),
	`seq` integer NOT NULL,
	`actor` text NOT NULL,
	`params` text NOT NULL,
	FOREIGN KEY (`instance_id`) REFERENCES `instance_status`(`instance_id`) ON UPDATE no action ON DELETE no action
);
--> statement-breakpoint
CREATE INDEX `idx_hibernation_events` ON `hibernation_events` (`instance_id`,`timestamp`);--> statement-breakpoint
CREATE UNIQUE INDEX `idx_hibernation_events_seq` ON `hibernation_events` (`instance_id`,`seq`);--> statement-breakpoint
CREATE TABLE `instance_status` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`instance_id` text(100) NOT NULL,
	`user_id` text(100) NOT NULL,
	`status` text(50) NOT NULL,
	`gpu_utilization` real,
	`last_activity` text,
	`idle_since` text,
	`hibernated_at` text,
	`snapshot_id` text(200),
	`auto_hibernation_enabled` integer DEFAULT true,
	`pause_after_minutes` real DEFAULT 3,
	`delete_after_minutes` real DEFAULT 30,
	`vast_instance_id` integer,
	`gpu_type` text(100),
	`region` text(100),
	`created_at` text NOT NULL,
	`updated_at` text NOT NULL,
	`name` text NOT NULL,
	`state` text NOT NULL,
	`micro_usd_per_hour` integer,
	`version` integer NOT NULL,
	`due_at` integer
);
--> statement-breakpoint
CREATE UNIQUE INDEX `instance_status_instance_id_unique` ON `instance_status` (`instance_id`);--> statement-breakpoint
CREATE INDEX `idx_instance_status` ON `instance_status` (`instance_id`);--> statement-breakpoint
CREATE INDEX `idx_user_status` ON `instance_status` (`user_id`,`status`);--> statement-breakpoint
CREATE INDEX `idx_instance_due` ON `instance_status` (`due_at`);--> statement-breakpoint
CREATE TABLE `users` (
	`id` text PRIMARY KEY NOT NULL,
	`name` text NOT NULL,
	`created_at` text NOT NULL
);

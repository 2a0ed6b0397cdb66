"""What is run on a real engine: designs of steps, served loads, random schedules."""
